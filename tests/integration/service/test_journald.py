"""Records in the journal: what arrives at a datagram socket in place of systemd's."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from contactsync.log.config import configure_logging

pytestmark = pytest.mark.usefixtures("restored_logging")


class Journal:
    """Receives datagrams and the descriptors of files, as systemd-journald does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.fspath(path))
        self.socket.settimeout(5)

    def record(self) -> dict[str, str]:
        """The fields of the next record."""
        datagram, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
        for descriptor in descriptors:
            with open(descriptor, "rb") as file:  # noqa: PTH123  (it has no path)
                assert datagram == b""
                datagram = file.read() or os.pread(descriptor, 1 << 24, 0)
        return dict(parsed(datagram))


def parsed(datagram: bytes) -> Iterator[tuple[str, str]]:
    """Name and value of each field, by https://systemd.io/JOURNAL_NATIVE_PROTOCOL/."""
    stream = io.BytesIO(datagram)
    while line := stream.readline():
        name, equals, value = line.rstrip(b"\n").partition(b"=")
        if not equals:
            value = stream.read(int.from_bytes(stream.read(8), "little"))
            assert stream.read(1) == b"\n"
        yield name.decode(), value.decode()


@pytest.fixture
def journal(short_path: Path) -> Iterator[Journal]:
    """Give a journal."""
    journal = Journal(short_path / "socket")
    yield journal
    journal.socket.close()


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[tuple[TextIO, dict[str, str]]]:
    """Give a stream that is connected to the journal, and its environment."""
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        yield stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_a_record_arrives_with_fields_to_search_by(journal: Journal, connected: tuple[TextIO, dict[str, str]]) -> None:
    """Folder, definition, run and event are fields, beside a readable message and a priority."""
    configure_logging("auto", "info", *connected, journal=journal.path)
    with structlog.contextvars.bound_contextvars(folder="anna/Privée", definition=3, run=7):
        structlog.get_logger("contactsync.sync.runner").warning("run.finished", outcome="changed", who="Zoë Q")
    assert journal.record() == {
        "MESSAGE": 'run.finished folder=anna/Privée definition=3 run=7 outcome=changed who="Zoë Q"',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "contactsync",
        "SYSLOG_PID": str(os.getpid()),
        "CONTACTSYNC_EVENT": "run.finished",
        "CONTACTSYNC_OUTCOME": "changed",
        "CONTACTSYNC_WHO": "Zoë Q",
        "CONTACTSYNC_FOLDER": "anna/Privée",
        "CONTACTSYNC_DEFINITION": "3",
        "CONTACTSYNC_RUN": "7",
        "CONTACTSYNC_LOGGER": "contactsync.sync.runner",
    }
    assert connected[0].tell() == 0


def test_levels_become_priorities(journal: Journal) -> None:
    """For `journalctl -p err`."""
    configure_logging("journal", "debug", sys.stderr, {}, journal=journal.path)
    log = structlog.get_logger()
    for level in ("debug", "info", "warning", "error"):
        log.log(logging.getLevelNamesMapping()[level.upper()], level)
    assert [journal.record()["PRIORITY"] for _ in range(4)] == ["7", "6", "4", "3"]


def test_lines_inside_a_value_stay_inside_it(journal: Journal) -> None:
    """A line break in a name adds no field; a traceback is part of the message."""
    configure_logging("journal", "info", sys.stderr, {}, journal=journal.path)
    try:
        int("x\nPRIORITY=0")
    except ValueError:
        logging.getLogger("library").exception("failed\nPRIORITY=1", extra={"dn": "cn=a\nPRIORITY=2"})
    record = journal.record()
    assert record["PRIORITY"] == "3"
    assert record["CONTACTSYNC_DN"] == "cn=a\nPRIORITY=2"
    assert "\nValueError: invalid literal" in record["MESSAGE"]
    assert "Traceback (most recent call last):" in record["MESSAGE"]


def test_a_large_record_arrives_whole(journal: Journal) -> None:
    """It is sent as a file in memory."""
    configure_logging("journal", "info", sys.stderr, {}, journal=journal.path)
    structlog.get_logger().info("large", text="ä" * 1_000_000)
    assert journal.record()["CONTACTSYNC_TEXT"] == "ä" * 1_000_000


def test_secrets_are_redacted(journal: Journal) -> None:
    """As in the other formats."""
    configure_logging("journal", "info", sys.stderr, {}, journal=journal.path)
    structlog.get_logger().info("bind", password="sekret")
    assert "sekret" not in str(journal.record())


@pytest.mark.parametrize("gone", ["before", "later"])
def test_without_a_journal_there_are_lines_of_json(
    journal: Journal, connected: tuple[TextIO, dict[str, str]], gone: str
) -> None:
    """Also if the journal goes away later."""
    stream, environ = connected
    if gone == "before":
        journal.path.unlink()
    configure_logging("auto", "info", stream, environ, journal=journal.path)
    journal.path.unlink(missing_ok=True)
    structlog.get_logger().info("hello", folder="Staff")
    stream.seek(0)
    assert json.loads(stream.read())["folder"] == "Staff"


def test_another_stream_is_not_the_journal(journal: Journal, connected: tuple[TextIO, dict[str, str]]) -> None:
    """A command with a redirected stderr writes there, although systemd started it."""
    stream = io.StringIO()
    configure_logging("auto", "info", stream, connected[1], journal=journal.path)
    structlog.get_logger().info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"
