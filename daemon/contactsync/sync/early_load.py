"""A first load goes ahead: it is applied while the rest is still being read, for as long as that goes well.

The transaction is open meanwhile. So the directory is given less time than otherwise, and when it does not keep to
that, or when an entry turns up that can only be judged beside all others, everything is undone and read again: the
ordinary way, which leaves `contacts` alone until the snapshot is complete.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from contactsync.errors import ContactsyncError, DatabaseConflict, DeadlineExceeded, ServerTimeout

if TYPE_CHECKING:
    from contactsync.ldap.connection.transport import Wire
    from contactsync.store.plan.first_load import FirstLoad

SILENCE_SECONDS = 2.0
"""For how long the directory may be silent while the transaction is open."""
MOST_SECONDS = 60.0
"""For how long the rest of the reading may take. Measured: that of a million people takes a third of it."""

_SWITCH_SECONDS = 0.0002
"""How long the thread that speaks to PostgreSQL waits for the one that maps, where Python's own 5 ms would let both
processors idle. Measured with 100,000 entries: a fifth of the whole load."""


class EarlyLoadAborted(ContactsyncError):
    """What went ahead was undone, for the reason that the message gives; the ordinary way is still open."""


class EarlyLoad:
    """A first load that may go ahead within a block, and is undone when that fails.

    Leaving the block raises InVain where the ordinary way may fare better.
    """

    def __init__(self, load: FirstLoad) -> None:
        self._load = load
        self._hurried = ExitStack()

    def __enter__(self) -> Self:
        return self

    def tighten_limits(self, wire: Wire) -> None:
        """To be called once the load goes ahead: what is left of the reading has no more time than we can spare."""
        wire.tighten_limits(seconds=MOST_SECONDS, receive_timeout=SILENCE_SECONDS)
        self._hurried.enter_context(_switching.often())

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._hurried.close()
        begun = self._load.begun
        if error is not None:
            self._load.abandon()
            if begun and (why := _why_in_vain(error)):
                raise EarlyLoadAborted(why) from None


def _why_in_vain(error: BaseException) -> str | None:
    if isinstance(error, DeadlineExceeded):
        return "Reading took too long for one transaction."
    return error.message if isinstance(error, ServerTimeout | DatabaseConflict) else None


class _Switching:
    """Has Python's threads take turns more often while somebody needs it: it is one number for all of them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._needed = 0
        self._usual = sys.getswitchinterval()

    @contextmanager
    def often(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, one: int) -> None:
        with self._guard:
            self._needed += one
            sys.setswitchinterval(_SWITCH_SECONDS if self._needed else self._usual)


_switching = _Switching()
