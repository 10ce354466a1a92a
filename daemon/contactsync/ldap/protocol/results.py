"""LDAPResult (RFC 4511, section 4.1.9): parsed, and translated into errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ldap3.core.results import RESULT_CODES

from contactsync.errors import (
    AccessRefused,
    BaseNotFound,
    CredentialsRefused,
    DirectoryError,
    FilterRefused,
    IncompleteSnapshot,
    ServerBusy,
    ServerUnavailable,
)
from contactsync.ldap.protocol import ber
from contactsync.ldap.query.text import shown
from contactsync.text import quoted

SUCCESS, OPERATIONS_ERROR, STRONGER_AUTH_REQUIRED, SASL_IN_PROGRESS = 0, 1, 8, 14
NO_SUCH_OBJECT, INVALID_DN_SYNTAX, INVALID_CREDENTIALS, INSUFFICIENT_ACCESS = 32, 34, 49, 50
LIMITS = frozenset({3, 4, 11})
"""timeLimitExceeded, sizeLimitExceeded and adminLimitExceeded: the entries that came are valid, but not all."""
_FILTER = {17, 18, 21}
_BAD_USER = {19, 32, 34, 48, INVALID_CREDENTIALS, 53}
"""Results of a bind with a user or password that is wrong, locked, expired or in a form that is not accepted."""

_REFERRAL = 0xA3
_VALUES = {0x8B, 0x87}
"""responseValue (section 4.12) and serverSaslCreds (section 4.2.2)."""
_LONGEST_TEXT = 300
"""Characters of a server's diagnostic message that are shown: one line, and enough for Active Directory's."""
_WIDEST_CHARACTER = 4
"""Octets of UTF-8."""
_MOST_REFERRALS = 10
"""Referrals of a result that are shown; none is followed."""

TLS_HINT = "Set tls to `starttls` or `ldaps`: this server does not accept a password over a plain connection."
_COMMON: dict[int, tuple[type[DirectoryError], str]] = {
    7: (AccessRefused, "The server does not allow simple binds; ask its administrator to allow them."),
    STRONGER_AUTH_REQUIRED: (AccessRefused, TLS_HINT),
    10: (AccessRefused, "Name that server in the query: credentials are never sent to a host that a referral names."),
    13: (AccessRefused, TLS_HINT),
    INVALID_CREDENTIALS: (CredentialsRefused, "Check the user and the password."),
    INSUFFICIENT_ACCESS: (AccessRefused, "Ask the directory's administrator for the right to read the base."),
    51: (ServerBusy, ""),
    52: (ServerUnavailable, ""),
}

_ACTIVE_DIRECTORY_DATA = re.compile(r"\bdata ([0-9a-f]{3,4}),")
"""The reason in Active Directory's diagnostic message, since its result code for a bind is always 49."""
_ACTIVE_DIRECTORY_REASONS = {
    "525": "there is no such user",
    "52e": "the password is wrong",
    "530": "the user may not log on at this time",
    "531": "the user may not log on from here",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed before the first log-on",
    "775": "the account is locked",
}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an operation, with the values of its controls.

    `value` is the responseValue of an extended operation (section 4.12), or the serverSaslCreds of a bind.
    """

    code: int
    matched_dn: str = ""
    diagnostic: str = ""
    referrals: tuple[str, ...] = ()
    controls: Mapping[str, bytes] = field(default_factory=dict)
    value: bytes = b""

    def __str__(self) -> str:
        diagnostic = f": {quoted(self.diagnostic)}" if self.diagnostic else ""
        referred = f", which refers to {' '.join(self.referrals)}" if self.referrals else ""
        return f"{RESULT_CODES.get(self.code, 'an unknown result')} ({self.code}){diagnostic}{referred}"


def parse_result(op: bytes, controls: Mapping[str, bytes] | None = None) -> Result:
    """Parse the protocolOp of a response; raises ProtocolViolation."""
    outer = ber.element_at(op, 0, len(op))
    parts = ber.elements(op, outer.start, outer.stop)
    if [part.tag for part in parts[:3]] != [ber.ENUMERATED, ber.OCTET_STRING, ber.OCTET_STRING]:
        raise ber.not_ldap("a response has no result")
    matched_dn, diagnostic = (op[part.start : part.stop] for part in parts[1:3])
    return Result(
        code=ber.number_in(op, parts[0]),
        matched_dn=_text(matched_dn),
        diagnostic=_text(diagnostic),
        referrals=tuple(
            _text(op[uri.start : uri.stop])
            for part in parts[3:]
            if part.tag == _REFERRAL
            for uri in ber.elements(op, part.start, part.stop)
        )[:_MOST_REFERRALS],
        controls=controls or {},
        value=next((op[part.start : part.stop] for part in parts[3:] if part.tag in _VALUES), b""),
    )


def read_controls(octets: bytes) -> dict[str, bytes]:
    """The controlValues by controlType (RFC 4511, section 4.1.11); raises ProtocolViolation."""
    found = {}
    for control in ber.elements(octets, 0, len(octets)):
        parts = [part for part in ber.elements(octets, control.start, control.stop) if part.tag == ber.OCTET_STRING]
        if not parts:
            raise ber.not_ldap("a control has no type")
        kind, *values = (octets[part.start : part.stop] for part in parts)
        found[kind.decode("utf-8", "replace")] = values[0] if values else b""
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSearch:
    """A search that did not succeed, after `entries` entries.

    `refused_hint` says what to do if the server refuses the filter. Gateways have no result code of their own for that.
    """

    server: str
    base: str
    filter: str
    entries: int
    anonymous: bool = False
    page_size: int = 0
    refused_hint: str = ""


def search_error(result: Result, search: FailedSearch) -> DirectoryError:
    """The error for a search that did not succeed."""
    server = search.server
    if result.code in LIMITS:
        return _limited(result, search)
    if result.code in {NO_SUCH_OBJECT, INVALID_DN_SYNTAX}:
        nearest = f" The nearest entry that exists is {quoted(result.matched_dn)}." if result.matched_dn else ""
        return BaseNotFound(
            f"{server} does not know the search base {quoted(search.base)}: {result}.{nearest}",
            hint="Check the base; a server gives the same answer if the user may not read it.",
        )
    if result.code == OPERATIONS_ERROR and search.anonymous:
        hint = f"Name a user in the definition. {search.refused_hint}".rstrip()
        return AccessRefused(f"{server} refused an anonymous search: {result}.", hint=hint)
    may_be_refused = result.code not in _COMMON and search.refused_hint and not search.entries
    if result.code in _FILTER or may_be_refused:
        hint = search.refused_hint or "Check the filter."
        return FilterRefused(f"{server} refused the filter {shown(search.filter)}: {result}.", hint=hint)
    kind, hint = _COMMON.get(result.code, (IncompleteSnapshot, "Nothing was changed."))
    return kind(f"{server} ended the search after {search.entries} entries with {result}.", hint=hint)


def nothing_found(server: str, diagnostic: str) -> IncompleteSnapshot:
    """The error for a search that succeeded without entries, but with a diagnostic message."""
    return IncompleteSnapshot(
        f"{server} found nothing and said: {quoted(diagnostic)}.",
        hint="Nothing was changed, since the answer may be incomplete. Ask the directory's administrator.",
    )


def _limited(result: Result, search: FailedSearch) -> IncompleteSnapshot:
    if search.page_size > 1 and refuses_page_size(str(result)):
        hint = f"Nothing was changed. {smaller_pages(search.page_size)}"
        return IncompleteSnapshot(
            f"{search.server} refused the page size {search.page_size:,} with {result}.", hint=hint
        )
    return IncompleteSnapshot(
        f"{search.server} ended the search after {search.entries} entries with {result}.",
        hint="Nothing was changed. Ask the directory's administrator to raise the limits of this user.",
    )


def refuses_page_size(text: str) -> bool:
    """Whether a result says that the pages are larger than this user may have (OpenLDAP's size.pr)."""
    return "pagedresults page size" in text.lower()


def smaller_pages(page_size: int) -> str:
    """What to do about a page size that is refused; the server does not report the largest one."""
    return f"Set a smaller page size: --page-size {max(1, min(100, page_size // 2))}."


def bind_error(result: Result, *, server: str, user: str | None) -> DirectoryError:
    """The error for a bind (RFC 4511, section 4.2) that did not succeed."""
    who = f"the user {quoted(user)}" if user else "an anonymous bind"
    data = _ACTIVE_DIRECTORY_DATA.search(result.diagnostic)
    if result.code == INVALID_CREDENTIALS and data:
        reason = _ACTIVE_DIRECTORY_REASONS.get(data[1], f"Active Directory's reason is {data[1]}")
        return CredentialsRefused(
            f"{server} refused {who}: {reason}.",
            hint="Correct it in the directory or in the definition, then run the definition once by hand.",
            data=data[1],
        )
    if result.code in _BAD_USER:
        return CredentialsRefused(
            f"{server} refused {who}: {result}.",
            hint="Check the user and the password, and the form of the user"
            r" (a DN for all servers; also DOMAIN\user and user@domain for Active Directory).",
            result=result.code,
        )
    kind, hint = _COMMON.get(result.code, (DirectoryError, ""))
    return kind(f"{server} refused {who}: {result}.", hint=hint)


def _text(raw: bytes) -> str:
    """A server's text, as one line."""
    text = raw[: _LONGEST_TEXT * _WIDEST_CHARACTER].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in text).strip()[:_LONGEST_TEXT]
