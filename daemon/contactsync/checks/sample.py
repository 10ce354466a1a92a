"""What several steps of a check look at: a few entries, mapped."""

from __future__ import annotations

from dataclasses import dataclass

from contactsync.checks.searches import Answer
from contactsync.model import MappedEntry, RejectedEntry


@dataclass(frozen=True, slots=True)
class Sample:
    """The first pages of the search, their entries mapped as a run maps them."""

    pages: tuple[Answer, ...]
    mapped: tuple[MappedEntry, ...]
    rejected: tuple[RejectedEntry, ...]

    @property
    def number(self) -> int:
        """How many entries there are."""
        return len(self.mapped) + len(self.rejected)
