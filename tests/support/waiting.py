"""Waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 100.0
"""Seconds after which a test gives up. Nothing takes nearly as long, also not on a busy machine."""

Until = Callable[[Callable[[], Any], str], Any]


def wait_until(condition: Callable[[], Any], what: str | Callable[[], str] = "", *, poll: float = 0.02) -> Any:
    """Wait until a condition is true, and give its value. `what` is what the failure says was waited for."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, f"gave up waiting: {what if isinstance(what, str) else what()}"
        time.sleep(poll)
    return result
