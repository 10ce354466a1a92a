"""The last records of the daemon's log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from contactsync.log.recent import Record, fields_of
from contactsync.store.record.runs import LARGEST_ID

if TYPE_CHECKING:
    from contactsync.log.recent import RecentRecords

Level = Literal["debug", "info", "warning", "error", "critical"]


class LogRecord(BaseModel):
    """A record of the log; docs/reference/logs.md explains each event. It has no secret."""

    number: int = Field(description="Grows with each record, until the daemon ends.")
    at: datetime
    level: Level
    event: str = Field(examples=["run.finished"])
    folder: str | None = Field(description="The label of the definition that it is about.", examples=["Staff"])
    definition_id: int | None
    fields: dict[str, Any] = Field(description="The other fields.")


class LogPage(BaseModel):
    """The last records, newest first; `before` of the next page, or null on the last."""

    records: list[LogRecord]
    next_before: int | None


class LogQuery(BaseModel):
    """Which records are listed."""

    level: Level = Field("debug", description="Only of this level or above.")
    folder: str | None = Field(
        None, description="Only about the definitions of this folder.", max_length=600, examples=["Staff"]
    )
    definition_id: int | None = Field(None, description="Only about this definition.", ge=1, le=LARGEST_ID)
    since: AwareDatetime | None = Field(None, description="Only logged at this time or later.")
    before: int | None = Field(None, description="Only older than this record.", ge=1, le=LARGEST_ID)
    limit: int = Field(100, description="Limit of the items on the page.", ge=1, le=1000)


def log_page(recent: RecentRecords, visible: Callable[[int | None], bool], query: LogQuery) -> LogPage:
    """A page of the records; those about a definition whose id is not `visible` are left out."""
    chosen = (each for each in recent.newest_first() if _matches(each, query) and visible(each.definition_id))
    page = list(islice(chosen, query.limit))
    documents = [_document(record) for record in page]
    return LogPage(records=documents, next_before=page[-1].number if len(page) == query.limit else None)


def _matches(record: Record, query: LogQuery) -> bool:
    return (
        record.level >= logging.getLevelNamesMapping()[query.level.upper()]
        and (query.since is None or record.at >= query.since)
        and (query.before is None or record.number < query.before)
        and (query.folder is None or _is_about(record, query.folder))
        and query.definition_id in {None, record.definition_id}
    )


def _is_about(record: Record, folder: str) -> bool:
    """Whether it is about this definition, or another one of the folder with this label."""
    return record.folder is not None and (record.folder == folder or record.folder.startswith(f"{folder}:"))


def _document(record: Record) -> LogRecord:
    level: Any = logging.getLevelName(record.level).lower()
    return LogRecord(
        number=record.number,
        at=record.at,
        level=level,
        event=record.event,
        folder=record.folder,
        definition_id=record.definition_id,
        fields=fields_of(record),
    )
