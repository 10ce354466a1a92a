"""One run as a document: the one form that `--json`, the API, the events and the log share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from contactsync.errors import ContactsyncError
from contactsync.model import Definition, Mode, NamedDefinition, Outcome, RunReport, Trigger

_TRIMMED_SHOWN = 10


class RunDocument(BaseModel):
    """A run. Counts are entries and contacts."""

    run_id: int | None = Field(description="Null for a preview, and for a run that could not start.")
    folder_id: int
    definition_id: int
    label: str
    trigger: Trigger
    mode: Mode
    full_reason: str | None = Field(description="Why everything was read although only the changes could have been.")
    outcome: Outcome | None = Field(description="Null while the run goes on.")
    started_at: datetime
    finished_at: datetime | None
    server: str | None
    skipped_servers: list[str] = Field(description="The servers before it that were not available.")
    attempts: int
    entries: int
    unchanged: int
    refreshed: int
    rejected: int
    references: int
    trimmed: int
    inserted: int
    updated: int
    deleted: int
    rekeyed: int = Field(description="Updated contacts whose entry has another identity than before.")
    seconds: float
    stages: dict[str, float] = Field(description="Seconds of each stage.")
    error_code: str | None
    error: str | None
    held_reason: str | None
    undoes: int | None = Field(description="The run that this run took back.")
    undone_by: int | None = Field(description="The run that took this run back.")
    node: str | None = Field(description="The daemon that made it, by its name in the fleet; null without a fleet.")

    @classmethod
    def of(cls, report: RunReport, *, running: bool = False, **more: Any) -> Self:
        """The document of a run in this process; `more` are the fields of a subclass."""
        definition = report.definition
        return cls(
            run_id=report.run_id or None,
            folder_id=definition.folder_id,
            definition_id=definition.definition_id,
            label=definition.label,
            trigger=report.trigger,
            mode=report.mode,
            full_reason=report.full_reason,
            outcome=None if running else report.outcome,
            started_at=report.started_at,
            finished_at=report.finished_at,
            server=report.server,
            skipped_servers=list(report.skipped_servers),
            attempts=report.attempts,
            **report.counts.by_name(),
            **_durations(report.seconds),
            error_code=report.error_code,
            error=report.error,
            held_reason=report.held_reason,
            undoes=report.undoes,
            undone_by=None,
            node=report.node,
            **more,
        )

    @classmethod
    def of_row(cls, row: Mapping[str, Any], **more: Any) -> Self:
        """The document of a recorded run (see contactsync.store.record.runs.read_runs); `more` as above."""
        return cls(**{**row, **_durations(row["stages"])}, **more)


class Attempt(BaseModel):
    """A further attempt of a run after a failed one."""

    number: int = Field(description="2 for the first further attempt.")
    most: int = Field(description="The limit, `retry_attempts`.")
    error: str = Field(description="Why the attempt before it failed.")


class RunningDocument(RunDocument):
    """A run in progress."""

    further_attempt: Attempt | None = Field(description="Null during the first attempt.")

    @classmethod
    def of(cls, report: RunReport, *, running: bool = True, **more: Any) -> Self:
        """See RunDocument."""
        attempt = report.further_attempt  # the run's thread may clear it meanwhile
        return super().of(report, running=running, further_attempt=attempt and Attempt(**asdict(attempt)), **more)


class RejectedEntry(BaseModel):
    """A directory entry that could not become a contact."""

    dn: str
    reason: str


class TrimmedValue(BaseModel):
    """A value of a directory entry that was dropped or changed on the way to the contact."""

    dn: str
    field: str
    reason: str


class RunResult(RunDocument):
    """A run that has just ended, or a preview, with the first names that it is about."""

    deleted_names: list[str]
    recognised: dict[str, int] = Field(
        description="The number of rekeyed contacts by the key they were recognised by: dn, employee_number, mail."
    )
    rejected_sample: list[RejectedEntry]
    trimmed_sample: list[TrimmedValue]

    @classmethod
    def of(cls, report: RunReport, *, running: bool = False, **more: Any) -> Self:
        """See RunDocument."""
        plan = report.plan
        return super().of(
            report,
            running=running,
            deleted_names=list(plan.deleted_names) if plan else [],
            recognised=dict(plan.recognised) if plan else {},
            rejected_sample=[RejectedEntry(dn=dn, reason=why) for dn, why in plan.rejected_sample] if plan else [],
            trimmed_sample=[
                TrimmedValue(dn=value.dn, field=value.field, reason=value.reason)
                for value in report.trimmed_values[:_TRIMMED_SHOWN]
            ],
            **more,
        )


def not_started(definition: NamedDefinition, trigger: Trigger, error: ContactsyncError) -> RunResult:
    """The document of a run that could not start: failed, and without an id."""
    now = datetime.now(UTC)
    names = {each.name: getattr(definition, each.name) for each in fields(NamedDefinition)}
    return RunResult.of(RunReport(0, Definition(**names), trigger, now, error_code=error.code, error=str(error)))


def _durations(stages: Mapping[str, float]) -> dict[str, Any]:
    stages = dict(stages)  # the run's thread may begin another stage meanwhile
    return {
        "seconds": round(sum(stages.values()), 3),
        "stages": {stage: round(seconds, 3) for stage, seconds in stages.items()},
    }
