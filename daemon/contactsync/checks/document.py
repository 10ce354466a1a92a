"""A check as a document: the one form of `check --json` and the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Self

from pydantic import BaseModel, Field

from contactsync.checks.result import Status, StepResult


class StepDocument(BaseModel):
    """One step: a sentence, what to do about it, more lines, and the same as data."""

    status: Status
    text: str
    hint: str
    details: list[str]
    data: dict[str, Any]
    name: str = Field(examples=["root_dse"])
    title: str = Field(description="The name for people.", examples=["Root DSE"])
    seconds: float


class CheckDocument(BaseModel):
    """The steps of a check; `ok` unless one failed."""

    label: str | None = Field(description="Null for a definition that is not stored.")
    ok: bool
    steps: list[StepDocument]

    @classmethod
    def of(cls, label: str | None, results: Iterable[StepResult]) -> Self:
        """The document of these results."""
        steps = [StepDocument.model_validate(asdict(result)) for result in results]
        return cls(label=label, ok=all(step.status is not Status.FAILED for step in steps), steps=steps)
