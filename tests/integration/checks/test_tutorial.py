"""docs/tutorial/active-directory.md, followed with a daemon and the real commands at a domain controller."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.processes import CommandLine, DaemonProcess
from tests.support.samba import DOMAIN, PrivateSamba

PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "active-directory.md"
CODES = {"contactsync sync Staff": [0, 3, 0], "contactsync status --check": [1, 0]}
"""The exit codes of the commands that the page repeats, in order; the others succeed."""


def commands() -> list[str]:
    """The commands for the machine of the daemon, in the order of the page."""
    text = re.sub(r"\\\n\s*", "", PAGE.read_text(encoding="utf-8"))
    return re.findall(r"^ {4}((?:openssl|contactsync) .*)$", text, re.MULTILINE)


@pytest.fixture
def place(database: str, samba: PrivateSamba, tmp_path: Path) -> Iterator[tuple[CommandLine, dict[str, str]]]:
    """Run a daemon; give commands, and what they have instead of the names of the page."""
    unit = samba.unit("Lunch")
    samba.add("Anna Berger", under=unit, displayName="Anna Berger", mail="anna@example.test", telephoneNumber="+49 1")
    samba.add("Printer", under=unit)
    certificate = tmp_path / "ca.cer"
    export = ["openssl", "x509", "-in", str(samba.ca_file), "-outform", "DER", "-out", str(certificate)]
    subprocess.run(export, check=True)
    names = {
        "ca.cer": str(certificate),
        "/etc/contactsync/company-ca.pem": str(tmp_path / "company-ca.pem"),
        "ldaps://dc1.example.com/OU=Staff,DC=example,DC=com": f"{samba.tls_url}/{unit}",
        "ldaps://dc1.example.com": samba.tls_url,
        r"EXAMPLE\reader": rf"{DOMAIN}\{samba.reader_name}",
    }
    cli, daemon = CommandLine(database, tmp_path), DaemonProcess(database, tmp_path)
    try:
        daemon.start()
        yield cli, names
    finally:
        cli.end()
        daemon.end()


def test_the_tutorial_leads_to_contacts_and_to_the_first_alert(
    place: tuple[CommandLine, dict[str, str]], samba: PrivateSamba, database: str
) -> None:
    """Each command does what the page says, and its SELECT has the person with a mail address."""
    cli, names = place
    left = {command: list(codes) for command, codes in CODES.items()}
    shown = {}
    for command in commands():
        words = [names.get(word, word) for word in shlex.split(command)]
        if words[0] == "openssl":
            subprocess.run(words, check=True, stdout=subprocess.PIPE)
            continue
        asked = ["--password-stdin"] if "--user" in words else []  # where the terminal would ask
        done = cli(*words[1:], *asked, typed=samba.reader_password)
        expected = left[command].pop(0) if command in left else 0
        assert done.returncode == expected, (command, done)
        shown[command] = done.stdout
        if command == "contactsync sync Staff" and len(left[command]) == 2:
            (statement,) = re.findall(
                r"^```sql\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
            )
            with psycopg.connect(database) as connection:
                assert connection.execute(statement).fetchall() == [("Anna Berger", "anna@example.test", "+49 1")]
        if expected == 1:
            assert "held (Staff)" in shown[command]
    assert not any(left.values())
    assert "Lunch" in next(text for command, text in shown.items() if command.startswith("contactsync browse"))
