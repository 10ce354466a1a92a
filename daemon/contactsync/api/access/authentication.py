"""Authenticates requests: those over TLS by the token in their header (RFC 6750, section 2.1).

A request over the control socket has an actor already: the kernel identifies its process. One of the web console names
the person it is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import structlog

from contactsync.api.access.console import web_user
from contactsync.api.access.token_cache import TokenCache
from contactsync.api.problems import problem_of_error, respond
from contactsync.credentials.tokens import contains_token, digest_of, is_complete
from contactsync.errors import (
    ActorMissing,
    ConsoleRefused,
    ContactsyncError,
    DatabaseError,
    NotReady,
    RequestsLimited,
    TokenInUrl,
    TokenRefused,
)
from contactsync.operations.access.rights import Access, Right, parse_folder
from contactsync.serving.limits import RateLimiter

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from contactsync.store.tokens import TokenRow

log = structlog.get_logger()

FAILURES_PER_MINUTE = 10
"""From one address. A valid token is accepted from any address: others behind it may be at fault."""
_IPV6_PREFIX = 64
_PARAMETERS = (b"token=", b"access_token=")


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """A program with a token; see contactsync.api.actor.Requester."""

    name: str
    address: str
    access: Access
    digest: bytes
    cache: TokenCache
    kind: str = "token"

    async def still_valid(self) -> bool:
        """Whether the token is neither revoked nor expired by now. Raises DatabaseError."""
        return await self.cache.find(self.digest) is not None


class Authentication:
    """ASGI middleware. `state.actor` becomes the TokenHolder of a client over TLS, or the console's WebUser.

    `state.address` is that of a client over TLS; `state.console` is there on the console's socket.
    """

    def __init__(self, app: ASGIApp, cache: TokenCache, requests_per_minute: Callable[[], int]) -> None:
        self._app = app
        self._cache = cache
        self._requests_per_minute = requests_per_minute
        self._failures, self._requests = RateLimiter(burst_seconds=60), RateLimiter(burst_seconds=10)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and "actor" not in scope["state"]:
            try:
                scope["state"]["actor"] = web_user(scope) if "console" in scope["state"] else await self._holder(scope)
            except (ConsoleRefused, ActorMissing) as error:
                log.warning("web.refused", error_code=error.code, error=error.message)
                await respond(problem_of_error(error))(scope, receive, send)
                return
            except ContactsyncError as error:
                await respond(problem_of_error(error), _headers(error))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _holder(self, scope: Scope) -> TokenHolder:
        """The holder of the token. Raises TokenRefused, TokenInUrl, RequestsLimited, NotReady."""
        address: str = scope["state"]["address"]
        try:
            row = await self._valid_token(_token_of(scope), address)
        except (TokenRefused, TokenInUrl) as error:
            self._count_failure(address, error)
            raise
        if wait := self._requests.take(row.token_id, self._requests_per_minute()):
            raise RequestsLimited("This token has made too many requests.", seconds=math.ceil(wait))
        self._cache.note_use(row)
        return TokenHolder(row.name, address, _access_of(row), row.digest, self._cache)

    async def _valid_token(self, text: str, address: str) -> TokenRow:
        guessing = self._failures.is_exhausted(_network(address), FAILURES_PER_MINUTE)
        try:
            row = await self._cache.find(digest_of(text), maybe_new=not guessing)
        except DatabaseError:  # its message names servers and roles, and a stranger may have asked
            raise NotReady("No token can be checked at the moment.", hint="The daemon's log has the reason.") from None
        if row is None:
            raise TokenRefused(
                "The token is not known, or it has expired or was revoked.",
                hint="On the daemon's machine: `contactsync tokens list` and `contactsync tokens add`.",
            )
        return row

    def _count_failure(self, address: str, error: ContactsyncError) -> None:
        if wait := self._failures.take(_network(address), FAILURES_PER_MINUTE):
            raise RequestsLimited(
                "There were too many requests without a valid token from this address.", seconds=math.ceil(wait)
            ) from None
        log.warning("api.refused", address=address, error_code=error.code, error=error.message)


def _headers(error: ContactsyncError) -> dict[str, str]:
    if isinstance(error, RequestsLimited):
        return {"Retry-After": str(error.seconds)}
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, TokenRefused) else {}


def _token_of(scope: Scope) -> str:
    """The token in the header. Raises TokenInUrl, TokenRefused."""
    query: bytes = scope["query_string"]
    url = unquote_to_bytes(scope.get("raw_path", b"") + b"?" + query).decode(errors="replace")
    if contains_token(url) or query.startswith(_PARAMETERS) or any(b"&" + name in query for name in _PARAMETERS):
        raise TokenInUrl(
            "The token is in the URL, which proxies and programs log.",
            hint="Send the header Authorization: Bearer TOKEN, and replace this token by a new one.",
        )
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        raise TokenRefused("The request has no token.", hint="Send one header Authorization: Bearer TOKEN.")
    header: bytes = given[0]
    scheme, _, text = header.decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not is_complete(text.strip()):
        raise TokenRefused(
            "The header Authorization has no complete token; it may have been cut or mistyped.",
            hint="Send Authorization: Bearer and the token that `contactsync tokens add` has printed.",
        )
    return text.strip()


def _access_of(row: TokenRow) -> Access:
    return Access(
        rights=frozenset(map(Right, row.rights)),
        everything=row.everything,
        folders=frozenset(map(parse_folder, row.folders)),
        owners=frozenset(row.owners),
    )


def _network(address: str) -> Any:
    """The address; of IPv6, where each client has many, the network of 64 bits."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped or int(parsed) >> (128 - _IPV6_PREFIX)
    return parsed
