"""The pages of docs/reference that are made from the code."""

from __future__ import annotations

import pytest

from contactsync.settings.schema import Settings
from tools.reference.pages import FOLDER, pages

PAGES = pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_page_is_that_of_the_code(path: object) -> None:
    """A setting, command, path of the API or metric that is new, gone or another needs `make man`."""
    stale = [page.name for page, text in PAGES.items() if page == path and page.read_text(encoding="utf-8") != text]
    assert stale == [], "run make man"


def test_the_page_of_the_settings_has_each_setting() -> None:
    """Also one that settings.toml would have in another form than the page reads."""
    names = {
        f"{section}.{key}"
        for section, field in Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }
    text = (FOLDER / "settings.md").read_text(encoding="utf-8")
    assert names
    assert {name for name in names if f"\n| `{name}` |" not in text} == set()
