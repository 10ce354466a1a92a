"""Paths to come back to, hosts, and languages, as browsers send them."""

from __future__ import annotations

import pytest

from contactsync.web.language import language_for, ngettext, use_language
from contactsync.web.middleware.hosts import host_name
from contactsync.web.signin.page import local_path


@pytest.mark.parametrize("path", ["/", "/folders/1?q=a&after=b", "/folders/1/settings"])
def test_the_browser_comes_back_to_a_page_of_the_console(path: str) -> None:
    """With its query."""
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "/\t/evil.example", "x"],
)
def test_the_browser_is_led_to_no_other_site(path: str) -> None:
    """It goes to the overview."""
    assert local_path(path) == "/"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Contacts.Example.COM", "contacts.example.com"),
        ("contacts.example.com:8443", "contacts.example.com"),
        ("127.0.0.1:8480", "127.0.0.1"),
        ("[::1]:8480", "[::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
    ],
)
def test_the_name_of_a_host_has_no_port(header: str, name: str) -> None:
    """And no capitals."""
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "fr,en;q=0.5,de;q=0.7", "de"),
        ("", "fr", "en"),
        ("de", "en", "de"),
        ("xx", "de", "de"),
        ("", "de;q=nonsense,en", "en"),
        ("", "de;q=0", "en"),
    ],
)
def test_the_language_is_chosen_or_the_browsers(chosen: str, accepted: str, code: str) -> None:
    """English if the console has none of them."""
    assert language_for(chosen, accepted) == code


@pytest.mark.parametrize(("number", "words"), [(1, "1 Feld"), (2, "2 Felder"), (0, "0 Felder")])
def test_a_number_has_its_form_of_the_words(number: int, words: str) -> None:
    """In the language of the request."""
    use_language("de")
    try:
        assert ngettext("%(number)s field", "%(number)s fields", number) % {"number": number} == words
    finally:
        use_language("en")
