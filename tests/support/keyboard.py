"""What people do at a page with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_MOST_TABS = 120


def choose(page: Page, name: str) -> None:
    """Go to a button, a link or a summary by Tab, and press Enter."""
    _go_to(page, "document.activeElement.ariaLabel ?? document.activeElement.innerText?.trim()", name)
    page.keyboard.press("Enter")


def type_into(page: Page, label: str, text: str) -> None:
    """Go to a field by Tab, and type in place of what is there; of a list, the words of a choice."""
    _go_to(page, "document.activeElement.labels?.[0]?.innerText.trim()", label)
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def _go_to(page: Page, words_of_focus: str, words: str) -> None:
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate(words_of_focus) == words:
            return
    raise AssertionError(f"Tab does not reach {words}")
