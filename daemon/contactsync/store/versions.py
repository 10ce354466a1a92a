"""The stored versions of all definitions, in two arrays, since there may be 100,000."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection


def _integers() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True)
class Versions:
    """A number for the stored version of each definition; the ids are in ascending order."""

    ids: array[int] = field(default_factory=_integers)
    numbers: array[int] = field(default_factory=_integers)

    def __contains__(self, definition_id: int) -> bool:
        """Whether the definition is stored."""
        place = bisect_left(self.ids, definition_id)
        return place < len(self.ids) and self.ids[place] == definition_id

    def differing(self, other: Versions) -> Iterator[int]:
        """The ids that have another version in `other`, or that only one of both has."""
        if self == other:
            return
        pairs = merge(zip(self.ids, self.numbers, strict=True), zip(other.ids, other.numbers, strict=True))
        for definition_id, group in groupby(pairs, itemgetter(0)):
            first, *more = group
            if more != [first]:
                yield definition_id


def read_versions(connection: Connection[Any]) -> Versions:
    """The versions of all definitions. Raises DatabaseError."""
    versions = Versions()
    for definition_id, number in execute(connection, "versions"):
        versions.ids.append(definition_id)
        versions.numbers.append(number)
    return versions
