"""Many browsers that watch one run by the streams of their progress pages."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.support.waiting import PATIENCE, wait_until
from tests.support.web import Console


class Followed(NamedTuple):
    """When each of the watchers saw the end of the run, and the daemon's connections while they waited for it."""

    ends: list[float]
    connections: int

    @property
    def apart(self) -> float:
        """Seconds from the first one that saw the end to the last."""
        return max(self.ends) - min(self.ends)


def follow_run(console: Console, definition_id: int, watchers: int, people: list[httpx.Client]) -> Followed:
    """Let so many streams of these people wait for the next run of a definition, make it, and wait for their ends."""
    (newest,) = console.door.local.get("/v1/runs", definition_id=definition_id, limit=1)["runs"]
    url = f"{console.url}/folders/{definition_id}/live?after={newest['run_id']}"
    cookies = ["; ".join(f"{name}={value}" for name, value in person.cookies.items()) for person in people]
    headers = [{"Cookie": cookies[number % len(cookies)]} for number in range(watchers)]
    return asyncio.run(_follow(console, definition_id, url, headers))


async def _follow(console: Console, definition_id: int, url: str, headers: list[dict[str, str]]) -> Followed:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=PATIENCE, limits=limits) as client, asyncio.timeout(PATIENCE):
        waiting = [asyncio.Event() for _ in headers]
        streams = [asyncio.create_task(_watch(client, url, *each)) for each in zip(headers, waiting, strict=True)]
        await asyncio.gather(*(event.wait() for event in waiting))
        # Requests of the beginning have connections of their own.
        await asyncio.to_thread(wait_until, lambda: _connections(str(console.door.path)) <= 1, "the first requests")
        connections = _connections(str(console.door.path))
        await asyncio.to_thread(console.door.local.run, definition_id)
        return Followed(list(await asyncio.gather(*streams)), connections)


async def _watch(client: httpx.AsyncClient, url: str, headers: dict[str, str], waiting: asyncio.Event) -> float:
    messages = [""]
    async with client.stream("GET", url, headers=headers) as stream:
        async for line in stream.aiter_lines():
            waiting.set()
            if line == "event: finished":
                assert "changed<" in messages[-2], messages[-2]
                return time.perf_counter()
            messages[-1:] = [messages[-1] + line] if line else [messages[-1], ""]
    raise AssertionError("A stream ended before its run.")


def _connections(path: str) -> int:
    """The connections that the daemon has accepted at a socket."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
    return sum(fields[-1] == path and fields[5] == "03" for fields in map(str.split, lines[1:]))
