"""Records for systemd's journal, by its native protocol: fields to search by instead of one line of text.

The format is that of https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. Our own lines and not a library: those that there are
bring a libsystemd of their own for one sendto.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import socket
from array import array
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

from contactsync.text import printable_json

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
SEND_SECONDS = 2
"""How long a journal that does not read may hold up the thread that logs."""

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Levels of syslog(3)."""
_FIRST_IN_THE_SENTENCE = ("folder", "definition", "run")
_NOT_IN_THE_SENTENCE = {"timestamp", "level", "event", "exception", "logger"}
_NOT_IN_A_NAME = re.compile("[^A-Z0-9_]")
_LONGEST_NAME = 64
_TOO_LARGE = {errno.EMSGSIZE, errno.ENOBUFS}
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether systemd has connected the stream to the journal: $JOURNAL_STREAM holds its device and inode."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream that is no file
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def render_record(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """The datagram for a record of structlog; its last processor. Each field is CONTACTSYNC_ and its name.

    As text, which is what logging's formatters make; octets that are none are escaped (PEP 383).
    """
    fields = {
        "MESSAGE": _sentence(event),
        "PRIORITY": str(_PRIORITIES.get(str(event.get("level")), 6)),
        "SYSLOG_IDENTIFIER": "contactsync",
        "SYSLOG_PID": str(os.getpid()),
    }
    for name, value in event.items():
        if name not in {"timestamp", "level"} and value is not None:
            fields[_field_name(name)] = _text(value)
    return b"".join(_field(name, value) for name, value in fields.items()).decode(errors="surrogateescape")


class JournalHandler(logging.Handler):
    """Sends what `render_record` made of a record to the journal; what cannot be sent goes to `otherwise`."""

    def __init__(self, path: Path, otherwise: logging.Handler) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._otherwise = otherwise
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(SEND_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; never raises."""
        try:
            self._send(self.format(record).encode(errors="surrogateescape"))
        except OSError:
            self._otherwise.emit(record)
        except Exception:  # noqa: BLE001  (a record that cannot be formatted must not end who logged it)
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _send(self, datagram: bytes) -> None:
        # By its path each time, so that a journal that was restarted is found.
        try:
            self._socket.sendto(datagram, self._path)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_file(datagram)

    def _send_file(self, datagram: bytes) -> None:
        """What is too large for a datagram goes as a sealed file in memory, whose descriptor is all that is sent."""
        descriptor = os.memfd_create("contactsync-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(descriptor, "wb") as file:  # noqa: PTH123  (it has no path)
            file.write(datagram)
            file.flush()
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            passed = array("i", [descriptor])
            self._socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)], 0, self._path)


def _sentence(event: Mapping[str, Any]) -> str:
    """The event and its fields on one line, then what is longer."""
    names = dict.fromkeys(name for name in (*_FIRST_IN_THE_SENTENCE, *event) if name in event)
    words = [str(event.get("event", ""))]
    words += [f"{name}={_word(event[name])}" for name in names if name not in _NOT_IN_THE_SENTENCE]
    return " ".join(words) + (f"\n{event['exception']}" if event.get("exception") else "")


def _word(value: Any) -> str:
    text = _text(value)
    plain = text and text.isprintable() and not set(' "=') & set(text)
    return text if plain else printable_json(json.dumps(text, ensure_ascii=False))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else str(value)


def _field_name(name: str) -> str:
    return f"CONTACTSYNC_{_NOT_IN_A_NAME.sub('_', name.upper())}"[:_LONGEST_NAME]


def _field(name: str, value: str) -> bytes:
    octets = value.encode(errors="backslashreplace")
    if b"\n" not in octets:
        return b"%s=%s\n" % (name.encode(), octets)
    return b"%s\n%s%s\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
