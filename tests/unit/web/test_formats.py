"""Numbers and times as the language of the request writes them."""

from __future__ import annotations

import pytest

from contactsync.web.language import use_language
from contactsync.web.words.formats import number, utc


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        (12106, "12,106", "12.106"),
        (0.0123, "0.012", "0,012"),
        (1234.56, "1,234.6", "1.234,6"),
        (0, "0", "0"),
        (2.0, "2", "2"),
    ],
)
def test_a_number_has_the_separators_of_the_language(value: float, english: str, german: str) -> None:
    """Between thousands, and before a fraction."""
    assert number(value) == english
    use_language("de")
    try:
        assert number(value) == german
    finally:
        use_language("en")


def test_a_time_is_written_as_in_the_language() -> None:
    """In UTC, whatever its zone."""
    assert utc("2026-11-30T01:30:00+02:00") == "2026-11-29 23:30 UTC"
    use_language("de")
    try:
        assert utc("2026-11-30T01:30:00+02:00") == "29.11.2026 23:30 UTC"
    finally:
        use_language("en")
