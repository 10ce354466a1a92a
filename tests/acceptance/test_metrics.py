"""Metrics that Prometheus reads from the daemon, over the control socket and over TCP."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from contactsync.testing.slapd import PrivateSlapd
from tests.support.waiting import wait_until


def samples(text: str, **labels: str) -> dict[str, float]:
    """The samples with exactly these labels, by name."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels == labels
    }


def test_prometheus_gets_what_runs_did(
    database: str,
    make_daemon: Callable[..., Any],
    slapd: PrivateSlapd,
    person: psycopg.Connection[Any],
    tmp_path: Path,
    closed_port: int,
) -> None:
    """Runs, states, the time of the next run and the end of the certificate, both over TCP and over the socket."""
    listen = f"127.0.0.1:{closed_port}"
    control = tmp_path / "control"
    daemon = make_daemon(
        database,
        READER=slapd.reader_password,
        CONTACTSYNC_METRICS__LISTEN=listen,
        CONTACTSYNC_CONTROL__SOCKET=str(control),
    )
    daemon.start()
    person.execute(
        """
        WITH f AS (INSERT INTO contactsync.folders (name, owner) VALUES ('Staff', 'anna') RETURNING folder_id)
        INSERT INTO contactsync.sync_definitions
            (folder_id, query, bind_user, password_ref, tls_ca_file, schedule)
        SELECT folder_id, %s, %s, 'env:READER', %s, 'every 365d' FROM f
        """,
        [f"{slapd.tls_url}/{slapd.people_base}", slapd.reader_dn, str(slapd.ca_file)],
    )
    labels = {"folder": "anna/Staff", "definition": "directory"}

    def scraped() -> str | None:
        text = httpx.get(f"http://{listen}/metrics").text
        # A scrape during the end of a run may have its counter and not yet its record in the database.
        counted = samples(text, **labels, outcome="unchanged")
        return text if counted and "contactsync_last_success_timestamp_seconds" in samples(text, **labels) else None

    text = wait_until(scraped, "the first run in the metrics")
    found = samples(text, **labels)
    assert samples(text, **labels, outcome="unchanged") == {"contactsync_runs_total": 1}
    assert found["contactsync_locked"] == found["contactsync_contacts"] == 0
    assert found["contactsync_last_success_timestamp_seconds"] < time.time()
    assert 0 < found["contactsync_success_due_timestamp_seconds"] - time.time() <= 365 * 86_400
    assert found["contactsync_certificate_expiry_timestamp_seconds"] > time.time()
    assert samples(text)["contactsync_database_up"] == 1

    with httpx.Client(transport=httpx.HTTPTransport(uds=str(control))) as client:
        answer = client.get("http://contactsync/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert samples(answer.text, **labels).keys() == found.keys()
