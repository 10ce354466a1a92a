"""The language of a request: German or English, by a cookie or Accept-Language; messages by gettext."""

from __future__ import annotations

import gettext as catalogues
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

LANGUAGES = {"en": "English", "de": "Deutsch"}
"""By their codes, each in its own name; the first is that of the texts in the source."""
COOKIE = "contactsync-language"
_DOMAIN = "contactsync"

_language: ContextVar[str] = ContextVar("language", default="en")


def use_language(code: str) -> None:
    """Use a language for the rest of this request."""
    _language.set(code)


def current_language() -> str:
    """The code of the language of this request."""
    return _language.get()


def gettext(text: str) -> str:
    """The text in the language of this request."""
    return _catalogue(_language.get()).gettext(text)


def mark(text: str) -> str:
    """The same text, which `make translations` finds here; it is translated where it is shown."""
    return text


def ngettext(one: str, many: str, number: int) -> str:
    """The form of the text for a number, in the language of this request."""
    return _catalogue(_language.get()).ngettext(one, many, number)


def language_for(chosen: str, accept: str) -> str:
    """The language that was chosen, else the first of the header Accept-Language (RFC 9110, section 12.5.4)."""
    if chosen in LANGUAGES:
        return chosen
    for language, weight in sorted(map(_weighted, accept.split(",")), key=lambda each: -each[1]):
        code = language.partition("-")[0]
        if code in LANGUAGES and weight > 0:
            return code
    return next(iter(LANGUAGES))


def _weighted(part: str) -> tuple[str, float]:
    language, _, parameter = part.partition(";")
    try:
        weight = float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
    except ValueError:
        weight = 0.0
    return language.strip().lower(), weight


@cache
def _catalogue(code: str) -> catalogues.NullTranslations:
    file = files("contactsync.web").joinpath("locale", code, "LC_MESSAGES", f"{_DOMAIN}.mo")
    if not file.is_file():
        return catalogues.NullTranslations()
    with file.open("rb") as stream:
        return catalogues.GNUTranslations(stream)
