"""The limits of requests: exact, and in a table that does not grow."""

from __future__ import annotations

from contactsync.serving.limits import MOST_KEYS, RateLimiter


class Clock:
    """A clock that stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_bucket_holds_a_burst_and_fills_again() -> None:
    """Ten at once, and then one each six seconds."""
    clock = Clock()
    limiter = RateLimiter(burst_seconds=60, clock=clock)
    assert [limiter.take("a", 10) for _ in range(10)] == [0] * 10
    assert limiter.is_exhausted("a", 10)
    assert limiter.take("a", 10) == 6
    assert limiter.take("b", 10) == 0
    clock.now += 6
    assert not limiter.is_exhausted("a", 10)
    assert [limiter.take("a", 10) > 0 for _ in range(2)] == [False, True]
    clock.now += 3600
    assert [limiter.take("a", 10) for _ in range(11)] == [*[0] * 10, 6]


def test_the_table_has_a_fixed_size() -> None:
    """The key is forgotten that was used longest ago."""
    limiter = RateLimiter(burst_seconds=60, clock=Clock())
    for _ in range(10):
        limiter.take("first", 10)
    for number in range(MOST_KEYS):
        limiter.take("kept", 10)
        limiter.take(number, 10)
    assert len(limiter) == MOST_KEYS
    assert not limiter.is_exhausted("first", 10)
    assert limiter.is_exhausted("kept", 10)
