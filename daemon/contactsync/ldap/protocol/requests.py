"""The protocolOps that are sent (RFC 4511), built and encoded by ldap3."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.operation.bind import bind_operation
from ldap3.operation.extended import extended_operation
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import encode as encode_op

from contactsync.errors import CredentialsRefused, FilterRefused, QueryError
from contactsync.ldap.protocol import ber
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import Scope
from contactsync.ldap.query.text import shown

ANY_ENTRY = "(objectClass=*)"
NO_ATTRIBUTES = ("1.1",)
"""Requests none (RFC 4511, section 4.5.1.8)."""

PAGED_RESULTS = "1.2.840.113556.1.4.319"
"""The control of RFC 2696."""

SHOW_DELETED = "1.2.840.113556.1.4.417"
"""LDAP_SERVER_SHOW_DELETED_OID ([MS-ADTS], section 3.1.1.3.4.1.14)."""
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"
"""The extended operation of RFC 4532."""

_SEARCH_REQUEST = 0x63
_START_TLS = "1.3.6.1.4.1.1466.20037"
_LDAP_VERSION = 3
_CONTROLS = 0xA0
_NOT_TEXT = (ValueError, KeyError)
"""Text that UTF-8 cannot hold: a UnicodeError, which pyasn1 sometimes wraps in a KeyError."""
_FILTER_FORM = "Write it as RFC 4515 has it, for example (&(objectClass=person)(mail=*))."
_SCOPES = {Scope.BASE: ldap3.BASE, Scope.ONE: ldap3.LEVEL, Scope.SUB: ldap3.SUBTREE}


def search_op(base: str, scope: Scope, search_filter: str, attributes: Sequence[str], *, size_limit: int = 0) -> bytes:
    """A SearchRequest (section 4.5.1) that follows no aliases; `size_limit` is in entries, 0 for none.

    Raises FilterRefused for a filter that is not valid (RFC 4515).
    """
    try:
        rest = _search_without_base(scope, search_filter, tuple(attributes), size_limit)
        return ber.encode(_SEARCH_REQUEST, ber.encode(ber.OCTET_STRING, base.encode()), rest)
    except (QueryError, LDAPException, *_NOT_TEXT) as error:
        why = error.message if isinstance(error, QueryError) else "It is not valid."
        raise FilterRefused(f"The filter {shown(search_filter)} cannot be sent. {why}", hint=_FILTER_FORM) from error


@lru_cache(maxsize=256)
def _search_without_base(scope: Scope, search_filter: str, attributes: tuple[str, ...], size_limit: int) -> bytes:
    """What follows the base in a SearchRequest: most definitions share it, and ldap3 takes a millisecond for it."""
    request = search_operation(
        "",
        check_filter(search_filter),
        _SCOPES[scope],
        ldap3.DEREF_NEVER,
        list(attributes),
        size_limit=size_limit,
        time_limit=0,
        types_only=False,
        auto_escape=False,
        auto_encode=False,
    )
    octets = cast("bytes", encode_op(request))
    contents = ber.element_at(octets, 0, len(octets))
    return octets[ber.element_at(octets, contents.start, contents.stop).stop :]


def bind_op(user: str | None, password: str | None) -> bytes:
    """A BindRequest (section 4.2), anonymous without a user; raises CredentialsRefused if it cannot be encoded."""
    try:
        if not user:
            return cast("bytes", encode_op(bind_operation(_LDAP_VERSION, ldap3.ANONYMOUS)))
        # As octets: ldap3 prepares text by SASLprep, which changes ², µ, ½ and others. The server compares octets.
        octets = (password or "").encode()
        return cast("bytes", encode_op(bind_operation(_LDAP_VERSION, ldap3.SIMPLE, user, octets)))
    except (LDAPException, *_NOT_TEXT):
        # Not chained: the original holds the password.
        raise CredentialsRefused(
            "The user or the password has characters that LDAP does not allow.", hint="Type the password again."
        ) from None


def sasl_bind_op(mechanism: str, credentials: bytes = b"") -> bytes:
    """A BindRequest by a SASL mechanism (section 4.2). Empty credentials are sent too.

    For EXTERNAL they mean that the server derives the authorization identity (RFC 4422, appendix A).
    """
    request = bind_operation(_LDAP_VERSION, ldap3.SASL, sasl_mechanism=mechanism, sasl_credentials=credentials)
    return cast("bytes", encode_op(request))


def start_tls_op() -> bytes:
    """The extended operation of RFC 4511, section 4.14."""
    return cast("bytes", encode_op(extended_operation(_START_TLS)))


def who_am_i_op() -> bytes:
    """The extended operation that requests the authorization identity (RFC 4532)."""
    return cast("bytes", encode_op(extended_operation(WHO_AM_I)))


def paging_control(size: int, cookie: bytes, *, deleted: bool = False) -> bytes:
    """The controls of a request for the page of `size` entries after `cookie` (RFC 2696); critical.

    With `deleted` Active Directory includes deleted objects.
    """
    value = ber.encode(ber.SEQUENCE, ber.encode_integer(size), ber.encode(ber.OCTET_STRING, cookie))
    return controls_of((PAGED_RESULTS, value), *([(SHOW_DELETED, None)] if deleted else []))


def controls_of(*controls: tuple[str, bytes | None]) -> bytes:
    """The controls of a message, each a type and its value or None, all critical."""
    encoded = (
        ber.encode(
            ber.SEQUENCE,
            ber.encode(ber.OCTET_STRING, oid.encode()),
            ber.encode(ber.BOOLEAN, ber.TRUE),
            b"" if value is None else ber.encode(ber.OCTET_STRING, value),
        )
        for oid, value in controls
    )
    return ber.encode(_CONTROLS, *encoded)


def paging_cookie(value: bytes) -> bytes:
    """The cookie for the next page from the control of a page, empty after the last; raises ProtocolViolation."""
    outer = ber.element_at(value, 0, len(value))
    parts = ber.elements(value, outer.start, outer.stop)
    if [outer.tag, *(part.tag for part in parts)] != [ber.SEQUENCE, ber.INTEGER, ber.OCTET_STRING]:
        raise ber.not_ldap("the paging control has no cookie")
    return value[parts[1].start : parts[1].stop]
