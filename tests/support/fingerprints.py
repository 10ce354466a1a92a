"""Fingerprints as a folder's contacts have them."""

from __future__ import annotations

from collections.abc import Iterable

from contactsync.store.fingerprints import Fingerprints


def known(fingerprints: Iterable[bytes]) -> Fingerprints:
    """None of which was met yet."""
    return Fingerprints(sorted(fingerprints))
