"""The person who has signed in, as each request to the daemon names them."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import Literal

HEADER = "Contactsync-Actor"

How = Literal["link", "directory", "oidc", "proxy", "events"]


@dataclass(frozen=True, slots=True)
class Person:
    """A person: the name that the sign-in gives, the groups, the way of the sign-in, and the address of the browser."""

    user: str
    admin: bool
    how: How
    address: str
    groups: tuple[str, ...] = ()

    def headers(self) -> dict[str, str]:
        """The header of a request to the daemon in the name of this person."""
        document = json.dumps(asdict(self), ensure_ascii=False).encode()
        return {HEADER: base64.urlsafe_b64encode(document).decode()}
