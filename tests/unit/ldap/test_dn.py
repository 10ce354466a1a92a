"""Distinguished names: one grammar for those that people type and those that servers send."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contactsync.errors import QueryError
from contactsync.ldap.dn import canonical_dn, comparison_key, first_rdn, first_value, parent_of


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("OU=a ; DC = x", "OU=a,DC=x"),
        ("my_type=a,OID.2.5.4.3=b", "my_type=a,OID.2.5.4.3=b"),
        ('CN=a "b" <c>,DC=x', r"CN=a \"b\" \<c\>,DC=x"),
        ("CN=#no hex,2.5.4.3=#0401", r"CN=\#no hex,2.5.4.3=#0401"),
        ('CN=" a;b\\" "', r"CN=\ a\;b\"\ "),
        ("CN=a\u00a0,DC=x", "CN=a\u00a0,DC=x"),
    ],
)
def test_the_canonical_form_is_that_of_rfc_4514(text: str, canonical: str) -> None:
    """Whatever RFC 2253 allows is accepted, and sent as RFC 4514 has it."""
    assert canonical_dn(text) == canonical


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        (r"CN=Smith\, John , OU=x;DC=y", "OU=x;DC=y"),
        ("CN=a+UID=1,OU=x", "OU=x"),
        (" OU=x", ""),
        ("DC=y", ""),
        ("no name", ""),
        ("", ""),
    ],
)
def test_the_parent_is_the_name_without_its_first_rdn(text: str, parent: str) -> None:
    """Its escapes and its spelling stay."""
    assert parent_of(text) == parent


@pytest.mark.parametrize(
    ("text", "value", "rdn"),
    [
        (r"CN=Smith\, John,OU=x", "Smith, John", r"CN=Smith\, John"),
        ("CN=a+UID=1;OU=x", "a", "CN=a+UID=1"),
        (r"CN=\C3\A4\FF,OU=x", "ä\\xff", r"CN=\C3\A4\FF"),
        ("no name", None, "no name"),
        ("=a", None, "=a"),
        (r"CN=a\zz,OU=x", None, r"CN=a\zz,OU=x"),
    ],
)
def test_the_first_rdn_and_its_value(text: str, value: str | None, rdn: str) -> None:
    """The value is without escapes, the RDN with them; a text that is no DN has no value and is its own RDN."""
    assert (first_value(text), first_rdn(text)) == (value, rdn)


PIECES = st.sampled_from(["CN", "=", ",", ";", "+", "a", " ", '"', "#", "04", "\\", "\\,", "\\2C", "<", "ä", "/", "="])


@given(st.lists(PIECES, max_size=20).map("".join))
@settings(deadline=None, database=None, max_examples=1000)
def test_a_name_and_its_canonical_form_are_one_name(text: str) -> None:
    """The canonical form compares equal to the text, has the same first value, and is its own canonical form."""
    try:
        canonical = canonical_dn(text)
    except QueryError:
        return
    assert comparison_key(canonical) == comparison_key(text)
    assert first_value(canonical) == first_value(text)
    assert canonical_dn(canonical) == canonical
