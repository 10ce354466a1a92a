"""What the person at the terminal sees while it is being measured."""

from __future__ import annotations

import time

from rich.console import Console

console = Console()
if not console.is_terminal:
    console.width = 150  # of a file, which has no width of its own
_start = time.monotonic()


def say(what: str) -> None:
    """A line about what goes on now, with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _start), 60)
    console.print(f"{minutes:2}:{seconds:02}  {what}", highlight=False, soft_wrap=True)


def turns(count: int) -> str:
    """So many turns, in words."""
    return "1 turn" if count == 1 else f"{count} turns"
