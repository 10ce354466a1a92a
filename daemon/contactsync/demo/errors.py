"""What the demo checks."""

from __future__ import annotations

from contactsync.errors import DemoError


def expect(*, that: bool, expected: str, found: str) -> None:
    """Raise DemoError if something is not so."""
    if not that:
        raise DemoError(expected, found)
