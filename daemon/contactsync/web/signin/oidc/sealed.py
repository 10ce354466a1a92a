"""What the browser keeps until it comes back from the provider, in a cookie that only this process can read.

Nothing is kept here, so that no number of sign-ins that are begun uses up memory.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping

from cryptography.fernet import Fernet, InvalidToken

BEGUN_SECONDS = 10 * 60
"""How long a person may take at the provider."""
TYPED_SECONDS = 30 * 60
"""How long what was typed is kept for the next sign-in."""
MOST_CHARACTERS = 3800
"""Browsers keep cookies of at most 4,096 octets, with their names and attributes."""


class Sealer:
    """Seals the texts of one cookie, by a key of its own that ends with this process; no other cookie is taken for it.

    They are valid for so many seconds. `now` is the time of day.
    """

    def __init__(self, seconds: int, now: Callable[[], float]) -> None:
        self._fernet = Fernet(Fernet.generate_key())
        self._seconds = seconds
        self._now = now

    def seal(self, fields: Mapping[str, str]) -> str:
        """The text for a cookie; empty if it would be too long."""
        text = zlib.compress(json.dumps(dict(fields)).encode())
        sealed = self._fernet.encrypt_at_time(text, int(self._now())).decode()
        return sealed if len(sealed) <= MOST_CHARACTERS else ""

    def open(self, sealed: str) -> dict[str, str]:
        """What was sealed here and is still valid; empty for anything else."""
        try:
            text = self._fernet.decrypt_at_time(sealed.encode(), self._seconds, int(self._now()))
        except InvalidToken:
            return {}
        fields: dict[str, str] = json.loads(zlib.decompress(text))
        return fields
