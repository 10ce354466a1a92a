"""What the benchmark prints while it measures, and how it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

console = Console()
if not console.is_terminal:
    console.width = 150  # a file has no width of its own
_start = time.monotonic()


def say(text: str) -> None:
    """Print a line with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _start), 60)
    console.print(f"{minutes:2}:{seconds:02}  {text}", highlight=False, soft_wrap=True)


def turns(count: int) -> str:
    """The number of turns, in words."""
    return "1 turn" if count == 1 else f"{count} turns"


def wait_for(condition: Callable[[], Any], failure: str, *, seconds: float, poll: float = 0.05) -> Any:
    """Wait until a condition is true, and give its value; end the benchmark if that takes too long."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(failure)
        time.sleep(poll)
    return value
