"""The user of a definition: three forms, empty for anonymous, and an error that shows the forms."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contactsync.errors import DefinitionError
from contactsync.ldap.query.user import USER_FORMS, parse_user


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("CN=Reader,DC=x", "CN=Reader,DC=x"),
        (r"CN=Smith\, J 🎷, DC=x", r"CN=Smith\, J 🎷,DC=x"),
        ("uid=anna@x.org,o=y", "uid=anna@x.org,o=y"),
        ("EXAMPLE\\reader", "EXAMPLE\\reader"),
        (" EXAMPLE\\John Smith ", "EXAMPLE\\John Smith"),
        ("reader@example.com", "reader@example.com"),
        ("Jürgen.o'neil@bücher.example", "Jürgen.o'neil@bücher.example"),
    ],
)
def test_each_form_is_accepted(text: str, user: str) -> None:
    r"""A DN, `DOMAIN\user` and `user@domain` are sent in a simple bind as they are."""
    assert parse_user(text) == user


@pytest.mark.parametrize("text", [None, "", "   "])
def test_no_user_means_anonymous(text: str | None) -> None:
    """An empty field binds anonymously."""
    assert parse_user(text) is None


@pytest.mark.parametrize(
    "text", ["smith", "a@b@c", "@b", "a@", "A\\b\\c", "\\b", "A\\", "A\\b@c", "a b@c", "CN=", "=x", "CN=a,b", "a\x00@b"]
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    """A bare name or a broken form is a DefinitionError whose hint shows the three forms."""
    with pytest.raises(DefinitionError) as caught:
        parse_user(text)
    assert caught.value.message.startswith("The user is not valid")
    assert caught.value.hint == USER_FORMS


@given(st.text(alphabet=st.one_of(st.sampled_from('\\@=,+" ax'), st.characters()), max_size=20))
@settings(deadline=None, database=None)
def test_no_input_raises_anything_but_a_definition_error(text: str) -> None:
    """Whatever is typed is refused with a DefinitionError, or gives a user that parses to itself."""
    try:
        user = parse_user(text)
    except DefinitionError as error:
        assert error.hint == USER_FORMS  # noqa: PT017
        return
    assert parse_user(user) == user
