"""The event stream: what is kept for clients that reconnect, and the limits."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator

import pytest

from contactsync.api.events import EventHub
from contactsync.api.watching import MOST_KEPT, MOST_UNSENT_BYTES, Listener
from contactsync.errors import TooMany

Limits = tuple[int, int]


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Allow this process few file descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def opened() -> EventHub:
    """Give a hub on this loop."""
    hub = EventHub()
    hub.open(asyncio.get_running_loop())
    return hub


async def text_of(listener: Listener) -> str:
    """Give what waits."""
    return (await listener.get(5) or b"").decode()


def id_of(text: str) -> str:
    """Give the last id of a stream."""
    return [line for line in text.splitlines() if line.startswith("id: ")][-1].removeprefix("id: ")


def test_a_position_is_valid_as_long_as_all_events_after_it_are_kept() -> None:
    """One more event, and the stream begins with a reset; the id of the reset is a position again."""

    async def check() -> None:
        hub = await opened()
        with hub.listening() as listener:
            start = id_of(await text_of(listener))
            for number in range(MOST_KEPT):
                hub.publish("definition.changed", definition_id=number)
            await asyncio.sleep(0)
            with hub.listening(start) as late:
                assert (await text_of(late)).count("event: definition.changed") == MOST_KEPT
            hub.publish("definition.changed", definition_id=0)
            await asyncio.sleep(0)
            with hub.listening(start) as too_late:
                reset = await text_of(too_late)
            assert reset.count("event: ") == reset.count("event: stream.reset") == 1
            hub.publish("definition.changed", definition_id=4711)
            await asyncio.sleep(0)
            with hub.listening(id_of(reset)) as current:
                assert '"definition_id": 4711' in await text_of(current)

    asyncio.run(check())


def test_events_that_nobody_kept_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon without listeners keeps no events; the ids from before are no positions then."""
    monkeypatch.setattr("contactsync.api.events.KEEP_SECONDS", 0.0)

    async def check() -> None:
        hub = await opened()
        with hub.listening() as listener:
            position = id_of(await text_of(listener))
        hub.publish("definition.changed", definition_id=1)
        await asyncio.sleep(0)
        with hub.listening(position) as again:
            assert "event: stream.reset" in await text_of(again)

    asyncio.run(check())


def test_a_slow_listener_gets_one_last_event() -> None:
    """What waits for it is bounded."""

    async def check() -> None:
        listener = Listener([])
        block = bytes(MOST_UNSENT_BYTES // 4)
        for _ in range(6):
            listener.put(block)
        assert listener.dropped.done()
        last = await listener.get(5)
        assert last is not None
        assert last.count(b"event: stream.dropped") == 1
        assert len(last) < 1000
        assert await listener.get(5) is None

    asyncio.run(check())


@pytest.mark.usefixtures("few_descriptors")
def test_listeners_leave_file_descriptors_for_runs() -> None:
    """The next one is refused, until another one leaves."""

    async def check() -> None:
        hub = await opened()
        listeners = [hub.listening() for _ in range(16)]
        for listener in listeners:
            listener.__enter__()
        with pytest.raises(TooMany), hub.listening():
            pass
        listeners[0].__exit__(None, None, None)
        with hub.listening():
            pass

    asyncio.run(check())
