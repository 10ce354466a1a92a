"""The log: structlog for us and for the libraries, as JSON lines, in systemd's journal, or readable for people."""

from __future__ import annotations

import codecs
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from contactsync.log.journald import JOURNAL_SOCKET, JournalHandler, is_journal, render_record
from contactsync.text import printable, printable_json

Format = Literal["auto", "json", "console", "journal"]
Level = Literal["debug", "info", "warning", "error"]

REDACTED = "***"

# Parts of names whose values never belong in a log. `password_ref` names a secret without holding it.
_SECRET_NAMES = ("password", "passwd", "secret", "credential", "private_key", "authorization")
_HARMLESS_NAMES = frozenset({"password_ref", "secrets", "key_file"})

# What these write below a warning is their daily business, not ours.
_QUIET_LIBRARIES = ("apscheduler", "psycopg")


def configure_logging(
    log_format: Format, level: Level, stream: TextIO, environ: Mapping[str, str], journal: Path = JOURNAL_SOCKET
) -> None:
    """Send every log record of this process to `stream`, or to the socket of systemd's journal; may be called again.

    `auto` means `journal` when systemd has connected `stream` to it, `console` on a terminal, and `json` elsewhere and
    under a service manager (which sets JOURNAL_STREAM or INVOCATION_ID in `environ`). Without a journal's socket,
    `journal` means `json`. What is bound by structlog.contextvars stands on every record of that thread, the libraries'
    records included.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a name in letters that the stream lacks must not cost a record
    handler = _handler(_chosen(log_format, stream, environ), stream, journal)
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
        cache_logger_on_first_use=False,  # loggers made at import time must follow a later configuration
    )


def set_level(level: Level) -> None:
    """Log this and what is worse from now on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(threshold)
    _calm_libraries(threshold)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of fields that are named like secrets, at any depth."""
    return {key: _redacted(key, value) for key, value in event.items()}


def in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put first what one looks for first in a line of JSON."""
    return {key: event[key] for key in ("timestamp", "level", "event") if key in event} | {**event}


def _chosen(log_format: Format, stream: TextIO, environ: Mapping[str, str]) -> Format:
    if log_format != "auto":
        return log_format
    if is_journal(stream, environ):
        return "journal"
    served = "JOURNAL_STREAM" in environ or "INVOCATION_ID" in environ
    return "console" if stream.isatty() and not served else "json"


def _handler(log_format: Format, stream: TextIO, journal: Path) -> logging.Handler:
    lines = logging.StreamHandler(stream)
    lines.setFormatter(_formatter(_to_console(stream) if log_format == "console" else _to_json(stream)))
    if log_format != "journal" or not journal.exists():
        return lines
    handler = JournalHandler(journal, otherwise=lines)
    handler.setFormatter(_formatter([structlog.processors.format_exc_info, render_record]))
    return handler


def _takes_all_letters(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"


def _common_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        redact,
    ]


# Tracebacks are Python's plain ones in every form: structlog's own renderers for people would also print the local
# variables, and a bind password is one of them.


def _to_json(stream: TextIO) -> list[Processor]:
    letters = _takes_all_letters(stream)
    json_lines = structlog.processors.JSONRenderer(_json_line, ensure_ascii=not letters, default=str)
    return [structlog.processors.format_exc_info, in_order, json_lines]


def _to_console(stream: TextIO) -> list[Processor]:
    plain = structlog.dev.plain_traceback
    return [_shown, structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]


def _json_line(document: object, **how: Any) -> str:
    return printable_json(json.dumps(document, **how))


def _shown(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Values of others cannot steer the terminal that the log is read in; a traceback keeps its lines."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _formatter(last: list[Processor]) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_common_processors(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _calm_libraries(threshold: int) -> None:
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    # ldap3 would write what it sends, passwords included.
    ldap3 = logging.getLogger("ldap3")
    ldap3.handlers = [logging.NullHandler()]
    ldap3.propagate = False


def _redacted(name: object, value: object) -> object:
    if value and _is_secret(name):
        return REDACTED
    if isinstance(value, Mapping):
        return {key: _redacted(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_redacted("", item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items  # exc_info is recognised by being a tuple
    return value


def _is_secret(name: object) -> bool:
    text = str(name).lower()
    return text not in _HARMLESS_NAMES and any(part in text for part in _SECRET_NAMES)
