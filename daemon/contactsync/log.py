"""The log: structlog for us and for the libraries, as JSON lines for machines or readable lines for people."""

from __future__ import annotations

import codecs
import io
import logging
from collections.abc import Mapping
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

REDACTED = "***"

# Parts of names whose values never belong in a log. `password_ref` names a secret without holding it.
_SECRET_NAMES = ("password", "passwd", "secret", "credential", "private_key", "authorization")
_HARMLESS_NAMES = frozenset({"password_ref", "secrets", "key_file"})

# What these write below a warning is their daily business, not ours.
_QUIET_LIBRARIES = ("apscheduler", "psycopg", "yoyo")


def configure_logging(log_format: Format, level: Level, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Send every log record of this process to `stream`; may be called again.

    `auto` means `console` on a terminal, and `json` elsewhere and under a service manager (which sets JOURNAL_STREAM
    or INVOCATION_ID in `environ`). What is bound by structlog.contextvars stands on every record of that thread,
    the libraries' records included.
    """
    as_json = log_format == "json" or (log_format == "auto" and not _for_people(stream, environ))
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a name in letters that the stream lacks must not cost a record
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(stream, as_json=as_json))
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    logging.captureWarnings(capture=True)
    _calm_libraries(threshold)
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


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of fields that are named like secrets, at any depth."""
    return {key: _redacted(key, value) for key, value in event.items()}


def in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put first what one looks for first in a line of JSON."""
    return {key: event[key] for key in ("timestamp", "level", "event") if key in event} | {**event}


def _for_people(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and not ("JOURNAL_STREAM" in environ or "INVOCATION_ID" in environ)


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


def _formatter(stream: TextIO, *, as_json: bool) -> structlog.stdlib.ProcessorFormatter:
    # Tracebacks are Python's plain ones in either form: structlog's own renderers for people would also print the
    # local variables, and a bind password is one of them.
    last: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            in_order,
            structlog.processors.JSONRenderer(ensure_ascii=not _takes_all_letters(stream), default=str),
        ]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    )
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
