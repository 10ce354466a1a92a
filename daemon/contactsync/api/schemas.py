"""The documents that the control socket answers with. None holds a password."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from contactsync.model import Mode, Outcome, RunReport, Trigger
from contactsync.operations import undo as operation


class Ref(BaseModel):
    """A definition by its id and by the name that people use."""

    definition_id: int
    label: str


class Folder(BaseModel):
    """A contact folder; without an owner it is shared."""

    folder_id: int
    name: str
    owner: str | None
    label: str
    definitions: list[int]
    contacts: int


class Definition(Ref):
    """What fills a folder, how it does, and when it runs next."""

    folder_id: int
    folder: str
    owner: str | None
    definition: str = Field(description="The name within the folder.")
    query: str
    bind_user: str | None
    schedule: str
    time_zone: str
    enabled: bool
    revision: int
    state: Literal["invalid", "paused", "locked", "never_run", "ok", "held", "failing", "interrupted"]
    reason: str | None = Field(description="Why it is invalid, locked, held or failing.")
    running: bool
    contacts: int
    last_run_id: int | None
    last_outcome: Outcome | None
    last_started_at: datetime | None
    last_success_at: datetime | None
    next_run_at: datetime | None
    live_since: datetime | None = Field(description="Since when the directory is listened to; null when it is not.")
    why_not_live: str | None = Field(
        description="Why not, in a sentence; null where it is, and where the mode, or auto without a schedule, does not"
        " ask for it."
    )


class RunCounts(BaseModel):
    """What a run saw and did, in entries and contacts."""

    entries: int
    unchanged: int
    refreshed: int
    rejected: int
    references: int
    trimmed: int
    inserted: int
    updated: int
    deleted: int


class RunFacts(RunCounts):
    """A run. `seconds` is the time spent in each stage."""

    run_id: int
    definition_id: int
    label: str
    trigger: Trigger
    mode: Mode
    full_reason: str | None = Field(description="Why everything was read where less might have done.")
    outcome: Outcome | None = Field(description="Null while it goes on.")
    started_at: datetime
    server: str | None
    skipped_servers: list[str]
    attempts: int
    seconds: dict[str, float]
    error_code: str | None
    error: str | None
    held_reason: str | None


class Run(RunFacts):
    """A run as it is recorded."""

    folder_id: int
    finished_at: datetime | None
    undoes: int | None = Field(description="The run that this run took back.")
    undone_by: int | None = Field(description="The run that took this run back.")


class Runs(BaseModel):
    """Runs, newest first; `before` of the next page, or null on the last."""

    runs: list[Run]
    next_before: int | None


class Change(BaseModel):
    """What a run did to one contact: {field: [before, after]}; null for an insert."""

    contact_id: int
    action: Literal["insert", "update", "delete"]
    display_name: str | None
    changes: dict[str, Any] | None


class RunWithChanges(Run):
    """A run and a page of its changes; `after` of the next page, or null on the last."""

    changes: list[Change]
    next_after: int | None


class RejectedEntry(BaseModel):
    """A directory entry that could not become a contact."""

    dn: str
    reason: str


class RunResult(RunFacts):
    """How a run ended that somebody waited for, with some of the names that it is about."""

    deleted_names: list[str]
    rejected_sample: list[RejectedEntry]

    @classmethod
    def of(cls, report: RunReport) -> Self:
        """The report for other programs."""
        plan = report.plan
        return cls(
            run_id=report.run_id,
            definition_id=report.definition.definition_id,
            label=report.definition.label,
            trigger=report.trigger,
            mode=report.mode,
            full_reason=report.full_reason,
            outcome=report.outcome,
            started_at=report.started_at,
            server=report.server,
            skipped_servers=list(report.skipped_servers),
            attempts=report.attempts,
            seconds=report.seconds,
            error_code=report.error_code,
            error=report.error,
            held_reason=report.held_reason,
            deleted_names=list(plan.deleted_names) if plan else [],
            rejected_sample=[RejectedEntry(dn=dn, reason=why) for dn, why in plan.rejected_sample] if plan else [],
            **asdict(report.counts),
        )


class FieldChange(BaseModel):
    """A field before and after."""

    before: Any
    after: Any


class PlannedChange(BaseModel):
    """What a run would do to one contact; the id is null for one that is not there yet."""

    contact_id: int | None
    action: Literal["insert", "update", "delete"]
    display_name: str | None
    fields: dict[str, FieldChange]


class Preview(Ref, RunCounts):
    """What a run would do now: counts of the whole, and some of the changes."""

    outcome: Outcome
    held_reason: str | None = Field(description="Why it would be held; null if it would not.")
    contacts: int | None = Field(description="That the definition has brought so far; null when nothing would change.")
    server: str | None
    changes: list[PlannedChange]
    changes_left_out: int
    rejected_sample: list[RejectedEntry]


class Decided(BaseModel):
    """What was decided, and about which run: a newer one with the same deletions stands for the one that was named."""

    run_id: int
    definition_id: int
    decision: Literal["approved", "rejected"]


class Undone(BaseModel):
    """The run that took another one back."""

    run: RunResult
    photos_lost: int = Field(description="Photos that could not be brought back.")
    paused: bool = Field(description="Whether the definition ran by itself until now.")

    @classmethod
    def of(cls, undone: operation.Undone) -> Self:
        """What an undo did, for other programs."""
        return cls(run=RunResult.of(undone.report), photos_lost=undone.photos_lost, paused=undone.paused)


class NotRun(Ref):
    """A definition that was to run and could not even begin."""

    code: str
    error: str


class Synchronized(BaseModel):
    """The runs that were waited for."""

    runs: list[RunResult]
    not_run: list[NotRun]


class Requested(BaseModel):
    """The definitions that will run."""

    requested: list[Ref]


class RunNow(RunCounts, Ref):
    """A run that goes on, and how far it is."""

    run_id: int
    trigger: Trigger
    started_at: datetime


class Cancelled(BaseModel):
    """The runs that were given up; one that is applying already still ends by itself."""

    cancelled: list[int]


class Reloaded(BaseModel):
    """Settings by name: those that hold now, and those that need a restart. Definitions are read again as well."""

    changed: list[str]
    need_restart: list[str]


class NextRun(Ref):
    """When something happens by itself next."""

    at: datetime


class Live(BaseModel):
    """How the folders do that follow their directory at once."""

    listening: int
    not_listening: int = Field(description="Those that go by their schedule, since the directory tells them nothing.")
    behind_seconds: float = Field(description="Since when something was heard that no run has asked for yet.")
    auto_scheduled: int = Field(
        description="Those of mode auto that go by their schedule: the directory does not tell enough, or they are too"
        " many (auto_live_folders). They do not count as `not_listening`."
    )


class Status(BaseModel):
    """The daemon at a glance."""

    version: str
    pid: int
    started_at: datetime
    ready: bool
    problems: list[str] = Field(description="Why it is not ready.")
    definitions: int
    paused: int
    invalid: int
    workers: int
    running: list[RunNow]
    waiting: int = Field(description="Definitions that wait for a worker or for their server's turn.")
    next_run: NextRun | None
    live: Live


class Health(BaseModel):
    """Whether the daemon lives, or can do its work."""

    status: Literal["ok"]
