"""The certificates that settings and folders name, and when they expire: page, API and command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from os import mkfifo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contactsync.testing.certificates import CertificateFiles, make_certificates
from tests.support.accounts import Accounts
from tests.support.processes import CommandLine
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SOON, LATER, PAST = timedelta(days=9, hours=1), timedelta(days=300), timedelta(days=-2)


@pytest.fixture
def made(pages: Console, tmp_path: Path) -> Iterator[dict[str, CertificateFiles]]:
    """Make certificates, and have a setting and folders name them; at the end none does."""
    local = pages.door.local
    made = {name: make_certificates(tmp_path / name, expires=end) for name, end in
            {"soon": SOON, "later": LATER, "past": PAST}.items()}  # fmt: skip
    both = tmp_path / "both.crt"
    both.write_bytes(made["soon"].certificate.read_bytes() + made["later"].certificate.read_bytes())
    pages.door.settings.write_text(f'[api]\ntls_client_ca = "{both}"\n')
    local.post("/v1/reload")
    own = {"tls_client_cert": str(made["soon"].certificate), "tls_client_key": str(made["soon"].key)}
    folders = [local.define(f"Trusting {number}", **own) for number in range(4)]
    folders.append(local.define("Trusting the past", tls_ca_pem=made["past"].certificate.read_text()))
    folders.append(local.define("Trusting nothing", tls_ca_file=str(tmp_path / "gone.crt")))
    pipe = tmp_path / "pipe.crt"
    mkfifo(pipe)
    folders.append(local.define("Trusting a pipe", tls_ca_file=str(pipe)))
    yield made
    pages.door.settings.write_text("")
    local.post("/v1/reload")
    for definition_id in folders:
        assert local.http.delete(f"/v1/definitions/{definition_id}").is_success


def summary(each: dict[str, Any]) -> tuple[Any, ...]:
    """What matters of one: who uses it, how many certificates, days until the end, whether it needs attention."""
    end = each["expires_at"] and datetime.fromisoformat(each["expires_at"]) - datetime.now(UTC)
    return each["used_by"], each["certificates"], each["definitions"], end and end.days, each["attention"]


def test_certificates_are_shown_with_their_end(
    pages: Console, made: dict[str, CertificateFiles], browser: Browser
) -> None:
    """The overview names those that need attention, the page of the settings all; neither needs JavaScript."""
    documents = pages.door.local.get("/v1/certificates")["certificates"]
    assert [summary(each) for each in documents] == [
        ("api.tls_client_ca", 2, 0, 299, False),
        ("definition.tls_ca_file", 0, 1, None, True),
        ("definition.tls_ca_file", 0, 1, None, True),
        ("definition.tls_ca_pem", 1, 1, -3, True),
        ("definition.tls_client_cert", 1, 4, 9, True),
    ]
    assert documents[1]["problem"].endswith("gone.crt cannot be read: No such file or directory.")
    assert documents[2]["problem"].endswith("pipe.crt cannot be read: it is no regular file.")
    page = pages.page(browser, java_script_enabled=False)
    notice = re.sub(r"\s+", " ", page.locator(".notice", has_text="Certificates need attention").inner_text())
    assert "gone.crt: cannot be used" in notice
    assert ": has expired" in notice
    assert f"{made['soon'].certificate}: expires in 9 days" in notice
    page.get_by_role("link", name="Which settings and folders use them").click()
    rows = [re.sub(r"\s+", " ", row) for row in page.locator("#certificates tbody tr").all_inner_texts()]
    assert len(rows) == 5
    assert "api.tls_client_ca" in rows[0]
    assert "expires" not in rows[0]
    assert "Trusting 0, Trusting 1, Trusting 2 and 1 more" in rows[4]
    german = pages.administrator().get("/", headers={"Accept-Language": "de"}).text
    assert "läuft in 9 Tagen ab" in german


def test_the_console_shows_its_own_to_administrators_only(console: Console, accounts: Accounts) -> None:
    """Of the sign-in here; other people see neither these nor those of folders."""
    assert accounts.dn("bert")
    assert "sign_in.ca_file" in console.administrator().get("/settings").text
    client = console.person("bert")
    assert client.get("/settings").status_code == 403
    assert client.get("/").status_code == 200
    assert console.door.ask("bert", "GET", "/v1/certificates").json()["code"] == "web.role"


def test_the_status_on_the_command_line_names_them(cli: CommandLine, staff: int, person: Any, tmp_path: Path) -> None:
    """Without a daemon, and only those that need attention."""
    assert "Certificates" not in cli("status").stdout
    file = make_certificates(tmp_path / "soon", expires=SOON).certificate
    person.execute(
        "UPDATE contactsync.sync_definitions SET tls_ca_file = %s WHERE definition_id = %s", [str(file), staff]
    )
    said = re.sub(r"\s+", "", cli("status").stdout)
    assert f"definition.tls_ca_file:{file}expiresin9d" in said
    (document,) = cli.json("status")["certificates"]
    assert (document["file"], document["labels"], document["attention"]) == (str(file), ["Staff"], True)
