"""Streams of one person share what they read of the daemon."""

from __future__ import annotations

import asyncio
import threading

from contactsync.web.shared_reads import SharedReads


def test_those_who_ask_during_a_read_share_the_next_one() -> None:
    """What they get was read after they asked, and other keys do not wait."""

    async def ask() -> None:
        reads, begun, free = SharedReads(), [threading.Event() for _ in range(3)], threading.Event()
        count = 0

        def read() -> int:
            nonlocal count
            count += 1
            begun[count - 1].set()
            free.wait()
            return count

        first = [asyncio.ensure_future(reads.get("a", read)) for _ in range(3)]
        await asyncio.to_thread(begun[0].wait)
        later = [asyncio.ensure_future(reads.get("a", read)) for _ in range(3)]
        assert await reads.get("b", lambda: "other") == "other"
        first[0].cancel()
        assert not begun[1].is_set()
        free.set()
        assert await asyncio.gather(*first[1:], *later) == [1, 1, 2, 2, 2]
        assert await reads.get("a", read) == 3

    asyncio.run(ask())


def test_an_error_is_for_all_who_share_the_read() -> None:
    """And the next read is another one."""

    async def ask() -> None:
        reads = SharedReads()

        def fail() -> None:
            raise ValueError

        results = await asyncio.gather(*(reads.get("a", fail) for _ in range(2)), return_exceptions=True)
        assert [type(each) for each in results] == [ValueError, ValueError]
        assert await reads.get("a", lambda: 1) == 1

    asyncio.run(ask())
