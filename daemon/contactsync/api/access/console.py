"""The person a request of the web console is for, from its header Contactsync-Actor.

Only the console's socket has it, and only requests of the console's own user are believed (contactsync.control).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from contactsync.errors import ActorMissing, ConsoleRefused

if TYPE_CHECKING:
    from starlette.types import Scope

HEADER = b"contactsync-actor"
_WITHOUT_ACTOR = frozenset({"/v1/health/live", "/v1/health/ready", "/v1/console/sign-in-codes/redeem"})


_LONGEST = 256


def _is_line(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def _one_line(text: str) -> str:
    if not _is_line(text):
        raise ValueError
    return text


class _Document(BaseModel):
    """The header's JSON."""

    model_config = ConfigDict(strict=True, extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=_LONGEST), AfterValidator(_one_line)]
    groups: list[str]
    admin: bool
    how: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,19}$")]
    address: Annotated[str, Field(max_length=64), AfterValidator(_one_line)]


@dataclass(frozen=True, slots=True)
class WebUser:
    """A person at the web console, who signed in there; see contactsync.api.actor.Requester.

    `how` is the way of signing in. A request about the health has the name "".
    """

    name: str
    groups: tuple[str, ...] = ()
    admin: bool = False
    how: str = ""
    address: str = ""
    kind: str = "web"


def web_user(scope: Scope) -> WebUser:
    """The person a request is for. Raises ConsoleRefused, ActorMissing."""
    if not scope["state"]["console"]:
        raise ConsoleRefused(
            "This socket is for the web console, which runs as another user.",
            hint="Use the control socket, or check [web] user in settings.toml.",
        )
    given = [value for name, value in scope["headers"] if name == HEADER]
    if not given and scope["path"] in _WITHOUT_ACTOR:
        return WebUser("")
    if len(given) != 1:
        raise ActorMissing(
            "The request does not say who it is for.", hint="Send one header Contactsync-Actor with every request."
        )
    document = _document(given[0])
    # A right cannot name other groups, and a person who is in one has those of the rest.
    groups = tuple(group for group in document.groups if len(group) <= _LONGEST and _is_line(group))
    return WebUser(document.user, groups, document.admin, document.how, document.address)


def _document(header: bytes) -> _Document:
    try:
        octets = base64.b64decode(header.rstrip(b"=") + b"=" * (-len(header.rstrip(b"=")) % 4), b"-_", validate=True)
        return _Document.model_validate_json(octets)
    except (binascii.Error, ValidationError) as error:
        if isinstance(error, ValidationError) and any(
            each["loc"] == ("user",) and each["type"] == "string_too_long" for each in error.errors()
        ):
            raise ActorMissing(
                f"The name of the user has more than {_LONGEST} characters.", hint="Sign in under a shorter name."
            ) from None
        raise ActorMissing(
            "The header Contactsync-Actor is not valid.",
            hint='Send the base64url form of JSON with "user", "groups", "admin", "how" and "address".',
        ) from None
