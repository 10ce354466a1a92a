"""What keeps a node from joining: a clear sentence at the start, and the other nodes are not disturbed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.pgbouncer import pgbouncer
from tests.support.processes import CONTACTSYNC
from tests.support.resources import short_directory


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a short path that other users may enter."""
    with short_directory() as folder:
        folder.chmod(0o755)
        yield folder


def refusal(fleet: Fleet, place: Path, code: int, **settings: str) -> str:
    """The message of a node that does not start, in one line; its exit code must be this one."""
    environ = fleet[0].environ | {
        "CONTACTSYNC_STATE__DIRECTORY": str(place / "state"),
        "CONTACTSYNC_FLEET__NAME": "refused",
        **settings,
    }
    done = subprocess.run([CONTACTSYNC, "daemon"], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@contextmanager
def undisturbed(fleet: Fleet) -> Iterator[None]:
    """Check that the nodes are the same after the block, and none has the name `refused`."""
    nodes = "SELECT node_id, name, died FROM contactsync.fleet_nodes ORDER BY node_id"
    before = fleet.rows(nodes)
    yield
    assert fleet.rows(nodes) == before


def test_the_extra_is_not_installed(fleet: Fleet, place: Path) -> None:
    """The message has the command that installs it."""
    (place / "sitecustomize.py").write_text("import sys; sys.modules['procrastinate'] = None\n", encoding="utf-8")
    with undisturbed(fleet):
        message = refusal(fleet, place, 78, PYTHONPATH=str(place))
    assert "the Python package procrastinate is not installed." in message
    assert "pip install 'contactsync[fleet]'" in message


def test_a_pooler_of_transactions_is_refused(fleet: Fleet, place: Path) -> None:
    """Locks and notifications of sessions would be lost in it."""
    database = fleet[0].environ["CONTACTSYNC_DATABASE__URL"]
    with undisturbed(fleet), pgbouncer(database, place, mode="transaction") as through:
        message = refusal(fleet, place, 69, CONTACTSYNC_DATABASE__URL=through)
    assert "behind a pooler (such as PgBouncer) that shares sessions" in message
    assert "pool_mode = session" in message


def test_a_newer_schema_is_refused(fleet: Fleet, place: Path) -> None:
    """A node of an older release names what it does not know."""
    fleet.person.execute("INSERT INTO contactsync.schema_migrations (name) VALUES ('9999.future')")
    try:
        with undisturbed(fleet):
            message = refusal(fleet, place, 69)
    finally:
        fleet.person.execute("DELETE FROM contactsync.schema_migrations WHERE name = '9999.future'")
    assert "The schema is that of a newer release: it has 9999.future" in message


def test_a_newer_queue_is_refused(fleet: Fleet, place: Path) -> None:
    """The queue's tables are those of another release of procrastinate."""
    comment = "COMMENT ON SCHEMA contactsync_queue IS {}"
    (before,) = fleet.rows("SELECT obj_description(to_regnamespace('contactsync_queue'), 'pg_namespace')")[0]
    fleet.person.execute(comment.format("'The queue of a fleet, of procrastinate: 99.99.99_01_future'").encode())
    try:
        with undisturbed(fleet):
            message = refusal(fleet, place, 69)
    finally:
        fleet.person.execute(comment.format(f"'{before}'").encode())
    assert "The queue's tables are of a newer release: 99.99.99_01_future" in message
