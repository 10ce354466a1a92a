"""The result of one step of a check."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from contactsync.errors import ContactsyncError

Data = dict[str, Any]
Lines = tuple[str, ...]


class Status(StrEnum):
    """How a step ended; the check fails if a step is FAILED."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: a sentence, what to do about it, more lines, and the same for JSON in `data`.

    The steps that need a `blocking` one are skipped. `check` sets `name`, `title` and `seconds`.
    """

    status: Status
    text: str
    hint: str = ""
    details: Lines = ()
    data: Data = field(default_factory=dict)
    blocking: bool = False
    name: str = ""
    title: str = ""
    seconds: float = 0.0


def ok(text: str, data: Data | None = None, *, details: Lines = ()) -> StepResult:
    """A step that found nothing wrong."""
    return StepResult(Status.OK, text, details=details, data=data or {})


def warning(text: str, hint: str, data: Data | None = None, *, details: Lines = ()) -> StepResult:
    """A step that found something to look at."""
    return StepResult(Status.WARNING, text, hint, details, data or {})


def skipped(text: str, hint: str = "", data: Data | None = None) -> StepResult:
    """A step that does not apply here."""
    return StepResult(Status.SKIPPED, text, hint, data=data or {})


def failed(text: str, hint: str, data: Data, *, details: Lines = ()) -> StepResult:
    """A step that found an error; the other steps go on."""
    return StepResult(Status.FAILED, text, hint, details, data)


def blocked(error: ContactsyncError, data: Data | None = None, *, details: Lines = ()) -> StepResult:
    """A step that ended with this error; the steps that need it are skipped."""
    data = {"error_code": error.code, **(data or {})}
    return StepResult(Status.FAILED, error.message, error.hint, details, data, blocking=True)


def reachable(total: int, errors: int) -> Status:
    """The status of a step over several servers or addresses: FAILED if all have errors, WARNING if some have."""
    if not errors:
        return Status.OK
    return Status.FAILED if errors == total else Status.WARNING
