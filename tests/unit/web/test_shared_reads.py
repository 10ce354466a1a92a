"""Streams of one person share what they read of the daemon."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from contactsync.web.shared_reads import SharedReads


class Reader:
    """Reads that wait until they are free; each returns its number, or raises ValueError."""

    def __init__(self) -> None:
        self.begun = [threading.Event() for _ in range(10)]
        self.free = threading.Event()
        self.fails = False
        self._count = 0

    def read(self) -> int:
        """One read."""
        self._count += 1
        number = self._count
        self.begun[number - 1].set()
        self.free.wait()
        if self.fails:
            raise ValueError
        return number


@pytest.fixture
def reader() -> Reader:
    """Give the reads."""
    return Reader()


def test_those_who_ask_during_a_read_share_the_next_one(reader: Reader) -> None:
    """What they get was read after they asked, and other keys do not wait."""

    async def ask() -> None:
        reads = SharedReads()
        first = [asyncio.ensure_future(reads.get("a", reader.read)) for _ in range(3)]
        await asyncio.to_thread(reader.begun[0].wait)
        later = [asyncio.ensure_future(reads.get("a", reader.read)) for _ in range(3)]
        try:
            for _ in range(10):  # time for a read that must not begin
                assert await reads.get("b", lambda: "other") == "other"
            first[0].cancel()
            assert not reader.begun[1].is_set()
        finally:
            reader.free.set()
        assert await asyncio.gather(*first[1:], *later) == [1, 1, 2, 2, 2]
        assert await reads.get("a", reader.read) == 3

    asyncio.run(ask())


def test_an_error_is_for_all_who_share_the_read(reader: Reader) -> None:
    """And not for those who asked during that read."""

    async def ask() -> None:
        reads = SharedReads()
        reader.fails = True
        first = [asyncio.ensure_future(reads.get("a", reader.read)) for _ in range(2)]
        await asyncio.to_thread(reader.begun[0].wait)
        later = asyncio.ensure_future(reads.get("a", lambda: "well"))
        await asyncio.sleep(0)
        reader.free.set()
        assert [type(each) for each in await asyncio.gather(*first, return_exceptions=True)] == [ValueError, ValueError]
        assert await later == "well"

    asyncio.run(ask())


def test_nothing_is_kept_of_a_read_that_has_ended() -> None:
    """Each stream has a key of its own, and there are many in the life of the console."""

    class Answer:
        """Something that a weak reference can point to."""

    async def ask() -> weakref.ref[Answer]:
        return weakref.ref(await reads.get("a", Answer))

    reads = SharedReads()
    answer = asyncio.run(ask())
    gc.collect()
    assert answer() is None


def test_an_error_that_nobody_waits_for_is_not_logged(reader: Reader) -> None:
    """The streams have ended, so that none reports it."""
    logged: list[dict[str, Any]] = []

    async def ask() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: logged.append(context))
        reader.fails = True
        reads = SharedReads()
        stream = asyncio.ensure_future(reads.get("a", reader.read))
        await asyncio.to_thread(reader.begun[0].wait)
        stream.cancel()
        reader.free.set()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        del stream
        assert await reads.get("a", lambda: 1) == 1  # the thread forgets the error before
        gc.collect()

    asyncio.run(ask())
    assert not logged
