"""The last records of this process's log, for the API."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

import structlog
from structlog.typing import EventDict, WrappedLogger

from contactsync.log.config import formatter

MOST_KEPT = 1000
_OWN = ("timestamp", "level", "event", "folder", "definition", "logger")


class Record(NamedTuple):
    """A record of the log, without secrets; `number` grows with each."""

    number: int
    at: datetime
    level: int
    event: str
    folder: str | None
    definition_id: int | None
    fields: str
    """The other fields, as JSON."""


class RecentRecords(logging.Handler):
    """Keeps the last records that are logged, as they are logged: redacted, with the fields of their context."""

    def __init__(self) -> None:
        super().__init__()
        self._records: deque[Record] = deque(maxlen=MOST_KEPT)
        self._numbers = count(1)
        self.setFormatter(formatter([structlog.processors.format_exc_info, self._kept]))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        try:
            if isinstance(record.msg, dict) and not record.msg.get("exc_info"):
                self._keep(record.msg)  # one of ours, which structlog has processed already
            else:
                self.format(record)
        except Exception:  # noqa: BLE001 -- as every handler of logging
            self.handleError(record)

    def newest_first(self) -> Iterator[Record]:
        """The records that are kept now."""
        return reversed(list(self._records))

    def _kept(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        self._keep(event)
        return ""

    def _keep(self, event: EventDict) -> None:
        definition = event.get("definition")
        self._records.append(
            Record(
                next(self._numbers),
                datetime.fromisoformat(event["timestamp"]),
                logging.getLevelNamesMapping()[event["level"].upper()],
                str(event["event"]),
                str(event["folder"]) if event.get("folder") else None,
                definition if isinstance(definition, int) else None,
                json.dumps({name: value for name, value in event.items() if name not in _OWN}, default=str),
            )
        )


def keep_recent() -> RecentRecords:
    """Keep the last records from now on, until the log is configured again."""
    recent = RecentRecords()
    logging.getLogger().addHandler(recent)
    return recent


def fields_of(record: Record) -> dict[str, Any]:
    """The fields of a record besides those that it has of its own."""
    fields: dict[str, Any] = json.loads(record.fields)
    return fields
