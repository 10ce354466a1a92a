"""What ends the demo when something is not as it has to be."""

from __future__ import annotations

from contactsync.errors import ContactsyncError


class DemoError(ContactsyncError):
    """The demo saw something else than it had to."""

    code = "demo.surprise"

    def __init__(self, expected: str, saw: str) -> None:
        super().__init__(f"The demo expected {expected}; it saw {saw}.")
