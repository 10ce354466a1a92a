"""How templates write values: numbers, times, names and the fields of a contact."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from contactsync.web.language import current_language, gettext

_GIST = ("emails", "work_phones", "mobile_phones", "department", "title")
_GERMAN = str.maketrans(",.", ".,")
_LONG = 160
"""Characters of a value in a table; the page of the contact shows it whole."""


def number(value: float | None) -> str:
    """A number with separators between thousands, or a dash."""
    if value is None:
        return "\N{EN DASH}"
    digits = 0 if not value % 1 else 1 if value >= 1 else 3
    text = f"{value:,.{digits}f}"
    return text.translate(_GERMAN) if current_language() == "de" else text


def utc(moment: str | datetime) -> str:
    """A time in UTC; console.js shows it in the browser's zone."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    date = "%d.%m.%Y" if current_language() == "de" else "%Y-%m-%d"
    return f"{at.astimezone(UTC):{date} %H:%M} UTC"


def day(date: str) -> str:
    """A day, such as 2026-11-30, as the language of the request writes it."""
    return f"{datetime.fromisoformat(date):%d.%m.%Y}" if current_language() == "de" else date


def days_until(moment: str) -> int:
    """How many whole days it is until a time; negative for the past."""
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).days


def initials(name: str | None) -> str:
    """The first letters of the first and the last word of a name."""
    words = [word for word in (name or "").split() if unicodedata.category(word[0]).startswith("L")]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def or_nameless(name: str | None) -> str:
    """The name, or what stands in its place. A name of blanks and invisible characters would leave a link empty."""
    visible = any(character.isprintable() and not character.isspace() for character in name or "")
    return name if name and visible else gettext("(no name)")


def cut(text: str, length: int = _LONG) -> str:
    """The beginning of a text that is longer than `length`; not of one with marks, which was cut when it was made."""
    return text if len(text) <= length or isinstance(text, Markup) else f"{text[: length - 1]}…"


def plain(value: Any) -> str:
    """A value of a contact's field as text."""
    return ", ".join(rows(value))


def rows(value: Any) -> list[str]:
    """The values of a contact's field."""
    if isinstance(value, Mapping):
        return [f"{key}: {content}" for key, content in value.items()]
    if isinstance(value, list):
        return [str(each) for each in value]
    return [str(value)]


def gist(fields: Mapping[str, Mapping[str, Any]]) -> str:
    """The fields that tell an added or deleted contact from others, in one line."""
    return ", ".join(_gist(fields))


def _gist(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name in _GIST:
        change = fields.get(name)
        content = change and (change["after"] or change["before"])
        if content:
            yield rows(content)[0]


def touched(deed: Mapping[str, Any]) -> list[str]:
    """The names of the fields that a deed is about."""
    return sorted({*(deed["before"] or ()), *(deed["after"] or ())})


def pairs(fields: Mapping[str, Any]) -> str:
    """Fields of a record in one line."""
    return " ".join(f"{name}={value}" for name, value in fields.items())


def setting(value: Any) -> str:
    """The value of a setting."""
    if value == "":
        return "\N{EN DASH}"
    return str(value).lower() if isinstance(value, bool) else str(value)


FILTERS = {
    each.__name__: each
    for each in (number, utc, day, days_until, initials, or_nameless, cut, plain, rows, gist, touched, pairs, setting)
}
"""The filters of the templates, by name."""
