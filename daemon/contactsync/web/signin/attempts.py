"""Limits failed sign-ins: by name, below the lock-out of directories, and by address."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from contactsync.ldap.accounts import name_without_domain

WINDOW_SECONDS = 15 * 60
MOST_OF_A_NAME = 5
MOST_OF_AN_ADDRESS = 20
_MOST_KEYS = 10_000
"""The table's size. Beyond it the key is forgotten that has failed longest ago."""
_IPV6_PREFIX = 64


class Attempts:
    """The failures of the last fifteen minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], deque[float]] = {}

    def begin(self, name: str | None, address: str) -> float:
        """Count an attempt as a failure until it succeeds. Gives seconds to wait, and counts nothing, if it is over.

        Where no name is typed, it is None.
        """
        now = self._clock()
        limits = {("address", network(address)): MOST_OF_AN_ADDRESS}
        if name is not None:
            limits["name", _folded(name)] = MOST_OF_A_NAME
        with self._lock:
            for key, most in limits.items():
                failures = self._recent(key, now)
                if len(failures) >= most:
                    return failures[-most] + WINDOW_SECONDS - now
            for key in limits:
                failures = self._failures.pop(key, deque(maxlen=MOST_OF_AN_ADDRESS))
                failures.append(now)
                self._failures[key] = failures
            while len(self._failures) > _MOST_KEYS:
                del self._failures[next(iter(self._failures))]
        return 0.0

    def succeed(self, name: str, address: str) -> None:
        """Forget the failures of a name, and the attempt of an address."""
        self.withdraw(name, address)
        with self._lock:
            self._failures.pop(("name", _folded(name)), None)

    def withdraw(self, name: str | None, address: str) -> None:
        """Do not count an attempt that was neither right nor wrong."""
        with self._lock:
            for key in (*([] if name is None else [("name", _folded(name))]), ("address", network(address))):
                if failures := self._failures.get(key):
                    failures.pop()

    def _recent(self, key: tuple[str, str], now: float) -> deque[float]:
        failures = self._failures.get(key, deque())
        while failures and failures[0] <= now - WINDOW_SECONDS:
            failures.popleft()
        return failures


def network(address: str) -> str:
    """The address; of IPv6, where each client has many, the network of 64 bits."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> (128 - _IPV6_PREFIX))
    return str(parsed)


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _folded(name: str) -> str:
    r"""One key for a name with and without its domain: a directory counts the failures of the account."""
    short = name_without_domain(name.strip()).partition("@")[0] or name
    return " ".join(short.casefold().split())
