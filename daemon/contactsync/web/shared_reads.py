"""Lets many streams of one person wait for one answer of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from anyio import to_thread


class SharedReads:
    """Reads by their keys; each is for all who asked before it began. Inside of one event loop only."""

    def __init__(self) -> None:
        self._next: dict[Hashable, asyncio.Task[Any]] = {}
        self._last: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, read: Callable[[], Any]) -> Any:
        """What a read returns that begins after this call. Raises what it raises."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._read(key, read, self._last.get(key)))
            task.add_done_callback(_note_error)
        return await asyncio.shield(task)  # a stream that ends does not end the read of others

    async def _read(self, key: Hashable, read: Callable[[], Any], before: asyncio.Task[Any] | None) -> Any:
        if before:
            await asyncio.wait([before])
        task = self._last[key] = self._next.pop(key)
        try:
            return await to_thread.run_sync(read)
        finally:
            if self._last.get(key) is task:
                del self._last[key]


def _note_error(task: asyncio.Task[Any]) -> None:
    """Asyncio would log the error of a read whose streams have all ended."""
    if not task.cancelled():
        task.exception()
