"""Whose turn it is to read a directory, or to search."""

from __future__ import annotations

import anyio
import pytest

from contactsync.api.access.turns import MOST, Turns
from contactsync.errors import TooMany


@pytest.mark.parametrize("at_once", [1, 2])
def test_each_person_has_so_many_turns_at_a_time_and_others_may_wait(at_once: int) -> None:
    """Others do not wait; after the last request nothing is kept."""
    turns, begun = Turns(at_once, "use a directory"), list[str]()

    async def request(person: str, end: anyio.Event) -> None:
        async with turns.of(person):
            begun.append(person)
            await end.wait()

    async def visit() -> None:
        end = anyio.Event()
        async with anyio.create_task_group() as group:
            for person in ["anna"] * MOST + ["bert"]:
                group.start_soon(request, person, end)
            await anyio.wait_all_tasks_blocked()
            assert sorted(begun) == ["anna"] * at_once + ["bert"]
            with pytest.raises(TooMany, match="8 of your requests use a directory already"):
                await request("anna", end)
            end.set()
        assert sorted(begun) == ["anna"] * MOST + ["bert"]
        await request("anna", end)

    anyio.run(visit)
    assert begun[-1] == "anna"
