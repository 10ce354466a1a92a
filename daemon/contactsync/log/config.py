"""The configuration of the log: structlog for our records and those of libraries, as JSON, text, or in the journal."""

from __future__ import annotations

import codecs
import io
import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from contactsync.log.journald import JOURNAL_SOCKET, JournalHandler, is_journal, render_record
from contactsync.text import printable, printable_json, quoted

Format = Literal["auto", "json", "console", "journal"]
Level = Literal["debug", "info", "warning", "error"]

REDACTED = "***"
# Parts of the names of fields whose values must not be logged. `password_ref` names a secret without containing it.
_SECRET_NAMES = ("password", "passwd", "secret", "credential", "private_key", "authorization")
_HARMLESS_NAMES = frozenset({"password_ref", "secrets", "key_file"})

_PLAIN = (str, int, float, type(None))

LIBRARY_EVENTS = {"psycopg": "database.client", "": "library.message"}
"""The events of libraries' records, by the start of the logger's name."""

_QUIET_LIBRARIES = ("apscheduler", "psycopg", "yoyo")
"""Only their warnings and errors are logged."""


def configure_logging(
    log_format: Format, level: Level, stream: TextIO, environ: Mapping[str, str], journal: Path = JOURNAL_SOCKET
) -> None:
    """Send every record of this process to `stream`, or to the journal's socket. It can be called again.

    `auto` is `journal` if systemd has connected `stream` to it, `console` on a terminal, else `json`. A service
    manager, which sets JOURNAL_STREAM or INVOCATION_ID in `environ`, gets `json` too. Without a journal's socket
    `journal` is `json`. Fields bound by structlog.contextvars are in every record of their thread, also in libraries'
    records.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a letter that the stream lacks must not lose the record
    handler = _handler(_resolved_format(log_format, stream, environ), stream, journal)
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    set_level(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers made at import must follow a later configuration
    )


def set_level(level: Level) -> None:
    """Log records of this level and above."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(threshold)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    # ldap3 would log what it sends, including passwords.
    ldap3 = logging.getLogger("ldap3")
    ldap3.handlers = [logging.NullHandler()]
    ldap3.propagate = False


def _resolved_format(log_format: Format, stream: TextIO, environ: Mapping[str, str]) -> Format:
    if log_format != "auto":
        return log_format
    if is_journal(stream, environ):
        return "journal"
    is_service = "JOURNAL_STREAM" in environ or "INVOCATION_ID" in environ
    return "console" if stream.isatty() and not is_service else "json"


def _handler(log_format: Format, stream: TextIO, journal: Path) -> logging.Handler:
    lines = logging.StreamHandler(stream)
    lines.setFormatter(formatter(_to_console(stream) if log_format == "console" else _to_json(stream)))
    if log_format != "journal" or not journal.exists():
        return lines
    handler = JournalHandler(journal, fallback=lines)
    handler.setFormatter(formatter([structlog.processors.format_exc_info, render_record]))
    return handler


def formatter(last: list[Processor]) -> structlog.stdlib.ProcessorFormatter:
    """The formatter of a handler, which applies `last` to each record after its secrets are redacted."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common_processors(), _name_library_event],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _common_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _redact,
    ]


# All forms have Python's plain tracebacks: those of structlog and rich show local variables, passwords among them.


def _to_json(stream: TextIO) -> list[Processor]:
    is_utf8 = codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
    json_lines = structlog.processors.JSONRenderer(_json_line, ensure_ascii=not is_utf8, default=str)
    return [structlog.processors.format_exc_info, _in_order, json_lines]


def _json_line(document: object, **options: Any) -> str:
    return printable_json(json.dumps(document, **options))


def _in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: event[key] for key in ("timestamp", "level", "event") if key in event} | {**event}


def _to_console(stream: TextIO) -> list[Processor]:
    plain = structlog.dev.plain_traceback
    return [_printable, structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]


class _Shown(str):
    """A text in a line for people, where structlog shows texts with spaces by `repr`: a backslash is not doubled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return quoted(self)


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, which could steer the terminal; a traceback keeps its lines."""
    return {name: _shown(value) for name, value in event.items()}


def _shown(value: object) -> object:
    if isinstance(value, str):
        return _Shown(printable(value))
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _name_library_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Move the free text of a library's record to the field `message`."""
    name = next(name for prefix, name in LIBRARY_EVENTS.items() if str(event.get("logger", "")).startswith(prefix))
    return {**event, "event": name, "message": event["event"]}


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(name: object, value: object) -> object:
    """The value without secrets, at any depth, judged by the names of fields."""
    if value and _is_secret(name):
        return REDACTED
    if isinstance(value, _PLAIN):  # the check for a Mapping takes ten times as long
        return value
    if isinstance(value, Mapping):
        return {key: _redacted(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_redacted("", item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items  # exc_info must stay a tuple
    return value


@lru_cache(maxsize=1024)
def _is_secret(name: object) -> bool:
    text = str(name).lower()
    return text not in _HARMLESS_NAMES and any(part in text for part in _SECRET_NAMES)
