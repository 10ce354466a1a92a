"""Limits of requests by token and by address, in a table of fixed size."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST_KEYS = 4096
"""About 1 MB. Beyond it the key is forgotten that was used longest ago."""


class RateLimiter:
    """A token bucket for each key, which holds the requests of `burst_seconds`."""

    def __init__(self, *, burst_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst_seconds = burst_seconds
        self._clock = clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()
        """When the bucket of each key is full again."""

    def take(self, key: Hashable, per_minute: float) -> float:
        """Count a request: 0 if it is within the limit, otherwise the seconds until the next one is."""
        now, interval = self._clock(), 60 / per_minute
        full_at = max(self._full_at.pop(key, now), now)
        wait = full_at - now - max(self._burst_seconds - interval, 0)
        self._full_at[key] = full_at if wait > 0 else full_at + interval
        if len(self._full_at) > MOST_KEYS:
            self._full_at.popitem(last=False)
        return max(wait, 0.0)

    def is_exhausted(self, key: Hashable, per_minute: float) -> bool:
        """Whether the next request would be beyond the limit."""
        return self._full_at.get(key, 0) - self._clock() > max(self._burst_seconds - 60 / per_minute, 0)

    def __len__(self) -> int:
        return len(self._full_at)
