"""What a step of a check found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contactsync.errors import ContactsyncError


class Status(StrEnum):
    """How a step ended; only FAILED makes the whole check fail."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step: a sentence, more of it in `details` (one line each), what to do about it, and the same as data.

    `data` holds what JSON can hold. `leaves_ground` is False when the steps that need this one cannot be taken.
    `name` and `seconds` are filled in by the walk.
    """

    status: Status
    text: str
    hint: str = ""
    details: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    leaves_ground: bool = True
    name: str = ""
    seconds: float = 0.0


def failed(error: ContactsyncError, *, details: tuple[str, ...] = (), data: dict[str, Any] | None = None) -> StepResult:
    """A step that ended with this error, and with it those that need it."""
    return StepResult(
        status=Status.FAILED,
        text=error.message,
        hint=error.hint,
        details=details,
        data={"error_code": error.code, **(data or {})},
        leaves_ground=False,
    )


def worst(failed: int, of: int) -> Status:
    """OK when none of so many failed, FAILED when all did, else WARNING: the others can stand in."""
    if not failed:
        return Status.OK
    return Status.FAILED if failed == of else Status.WARNING


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 entry`, `2,000 entries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
