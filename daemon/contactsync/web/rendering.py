"""Renders the templates. Each value is escaped, and a name without a value is an error."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from contactsync.web.context import session_of
from contactsync.web.language import LANGUAGES, current_language, gettext, ngettext
from contactsync.web.static_files import static_files
from contactsync.web.words.deeds import deed_words, way_words
from contactsync.web.words.field_names import field_words
from contactsync.web.words.formats import FILTERS
from contactsync.web.words.problems import in_english, in_words, reason_words, verdict_words
from contactsync.web.words.steps import step_found, step_words


@cache
def environment() -> Environment:
    """The templates in templates/. Their texts are marked with `_()`, `ngettext()` or `{% trans %}`."""
    made = Environment(
        loader=PackageLoader("contactsync.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    # The extension's methods are added at run time.
    made.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {
        "static": static_files().url,
        "languages": LANGUAGES,
        "field_words": field_words,
        "deed_words": deed_words,
        "way_words": way_words,
        "step_words": step_words,
        "in_words": in_words,
        "in_english": in_english,
        "reason_words": reason_words,
        "step_found": step_found,
        "verdict_words": verdict_words,
    }
    made.filters |= FILTERS
    return made


def render(request: Request, template: str, *, http_status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """A page. Templates also have `person` (None before the sign-in) and `language`."""
    session = session_of(request)
    text = (
        environment()
        .get_template(template)
        .render(
            person=session.person if session else None,
            language=current_language(),
            **values,
        )
    )
    return HTMLResponse(text, http_status)
