"""The encoded requests, and our own errors for those that cannot be encoded."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.errors import CredentialsRefused, FilterRefused
from contactsync.ldap.protocol.requests import bind_op, paging_control, search_op
from contactsync.ldap.query.query import Scope

FILTER_LETTERS = st.text(alphabet=st.sampled_from("()&|!=*~<>:\\ab1. 2ü;-\ud800\0"), max_size=40)


@given(FILTER_LETTERS | st.text(max_size=40))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    """The outcome is a request or FilterRefused."""
    try:
        octets = search_op("dc=example,dc=test", Scope.SUB, text, ["cn"])
    except FilterRefused:
        return
    assert octets[0] == 0x63


def test_the_octets_of_a_search() -> None:
    """RFC 4511, section 4.5.1: one level, aliases never followed, no limits, values with their types."""
    base, scope, never, no_size, no_time, values = "04036f3d61", "0a0101", "0a0100", "020100", "020100", "010100"
    search_filter = "a015 a309 0402636e 0403612a62 a208 8706" + b"mobile".hex()
    contents = f"{base} {scope} {never} {no_size} {no_time} {values} {search_filter} 3004 0402636e"

    octets = search_op("o=a", Scope.ONE, r"(&(cn=a\2ab)(!(mobile=*)))", ["cn"])

    assert octets == bytes.fromhex("6331" + contents)


def test_a_size_limit_is_sent() -> None:
    """RFC 4511, section 4.5.1.4."""
    assert "0a0100020105020100" in search_op("o=a", Scope.ONE, "(cn=*)", (), size_limit=5).hex()


def test_deleted_objects_are_requested_with_a_page() -> None:
    """Two critical controls (RFC 4511, section 4.1.11); the one of RFC 2696 has a size and an empty cookie."""
    paging, deleted = b"1.2.840.113556.1.4.319".hex(), b"1.2.840.113556.1.4.417".hex()
    by_pages = f"3025 0416 {paging} 0101ff 0408 3006 020200ff 0400"

    octets = paging_control(255, b"", deleted=True)

    assert octets == bytes.fromhex(f"a044 {by_pages} 301b 0416 {deleted} 0101ff")


@pytest.mark.parametrize(("user", "password"), [("cn=reader", "secret\ud800"), ("cn=\ud800", "secret")])
def test_a_password_that_cannot_be_sent_is_not_shown(user: str, password: str) -> None:
    """Neither in the error nor in its causes."""
    with pytest.raises(CredentialsRefused) as caught:
        bind_op(user, password)

    shown = "".join(traceback.format_exception(caught.value))
    assert "cret" not in shown.replace('"secret', "")
    assert caught.value.__suppress_context__
