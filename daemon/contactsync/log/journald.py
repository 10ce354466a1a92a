"""Records for systemd's journal in its native protocol, with fields to search by.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ has the format. The existing libraries contain a libsystemd of their own.
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
"""How long a journal that does not read may block the logging thread."""

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Levels of syslog(3)."""
_FIRST_FIELDS = ("folder", "definition", "run")
_OMITTED_FIELDS = {"timestamp", "level", "event", "exception", "logger"}
_INVALID_IN_NAME = re.compile("[^A-Z0-9_]")
_MAX_NAME = 64
_TOO_LARGE = {errno.EMSGSIZE, errno.ENOBUFS}
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether systemd has connected the stream to the journal: $JOURNAL_STREAM has its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream that is not a file
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def render_record(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """The datagram for a record, as the last processor of structlog. Each field is CONTACTSYNC_ and its name.

    It is text, since logging's formatters return text; other octets are escaped (PEP 383).
    """
    fields = {
        "MESSAGE": _message(event),
        "PRIORITY": str(_PRIORITIES.get(str(event.get("level")), 6)),
        "SYSLOG_IDENTIFIER": "contactsync",
        "SYSLOG_PID": str(os.getpid()),
    }
    for name, value in event.items():
        if name not in {"timestamp", "level"} and value is not None:
            fields[_field_name(name)] = _text(value)
    return b"".join(_field(name, value) for name, value in fields.items()).decode(errors="surrogateescape")


class JournalHandler(logging.Handler):
    """Sends records of `render_record` to the journal; a record that cannot be sent goes to `fallback`."""

    def __init__(self, path: Path, fallback: logging.Handler) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._fallback = fallback
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(SEND_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; never raises."""
        try:
            self._send(self.format(record).encode(errors="surrogateescape"))
        except OSError:
            self._fallback.emit(record)
        except Exception:  # noqa: BLE001  (a record that cannot be formatted must not end the logging thread)
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _send(self, datagram: bytes) -> None:
        # By its path each time, since the journal may have been restarted.
        try:
            self._socket.sendto(datagram, self._path)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_file(datagram)

    def _send_file(self, datagram: bytes) -> None:
        """Send what is too large for a datagram as the descriptor of a sealed file in memory."""
        descriptor = os.memfd_create("contactsync-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(descriptor, "wb") as file:  # noqa: PTH123  (it has no path)
            file.write(datagram)
            file.flush()
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            passed = array("i", [descriptor])
            self._socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)], 0, self._path)


def _message(event: Mapping[str, Any]) -> str:
    """The event and its fields on one line, then the traceback."""
    names = dict.fromkeys(name for name in (*_FIRST_FIELDS, *event) if name in event)
    words = [str(event.get("event", ""))]
    words += [f"{name}={_word(event[name])}" for name in names if name not in _OMITTED_FIELDS]
    return " ".join(words) + (f"\n{event['exception']}" if event.get("exception") else "")


def _word(value: Any) -> str:
    text = _text(value)
    plain = text and text.isprintable() and not set(' "=') & set(text)
    return text if plain else printable_json(json.dumps(text, ensure_ascii=False))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else str(value)


def _field_name(name: str) -> str:
    return f"CONTACTSYNC_{_INVALID_IN_NAME.sub('_', name.upper())}"[:_MAX_NAME]


def _field(name: str, value: str) -> bytes:
    octets = value.encode(errors="backslashreplace")
    if b"\n" not in octets:
        return b"%s=%s\n" % (name.encode(), octets)
    return b"%s\n%s%s\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
