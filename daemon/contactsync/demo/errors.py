"""What the demo checks, and the error when something is not as expected."""

from __future__ import annotations

from contactsync.errors import ContactsyncError


class DemoError(ContactsyncError):
    """The demo found something else than it expected."""

    code = "demo.failed"

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"The demo expected {expected}; it found {found}.")


def expect(*, that: bool, expected: str, found: str) -> None:
    """Raise DemoError if something is not so."""
    if not that:
        raise DemoError(expected, found)
