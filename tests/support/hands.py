"""A person at a page with the mouse, with the keyboard alone, or without JavaScript: the same steps in each way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tests.support.keyboard import choose, type_into

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Hands(Protocol):
    """What a person does at a page. `options` are those of the browser's context."""

    options: dict[str, Any]

    def press(self, page: Page, name: str) -> None:
        """Press the first button or link with exactly this name."""

    def fill(self, page: Page, label: str, text: str) -> None:
        """Fill the field with exactly this label, or choose from a list."""


class Mouse:
    """With the mouse."""

    options: dict[str, Any] = {}  # noqa: RUF012 -- nobody changes it

    def press(self, page: Page, name: str) -> None:
        """Click."""
        named = [page.get_by_role(role, name=name, exact=True) for role in ("button", "link")]
        named[0].or_(named[1]).or_(page.locator("summary", has_text=name)).first.click()

    def fill(self, page: Page, label: str, text: str) -> None:
        """Click into the field, and type; of a list, click on the choice."""
        field = page.get_by_label(label, exact=True)
        if field.evaluate("each => each.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.click()
            field.fill(text)


class WithoutJavaScript(Mouse):
    """With the mouse, in a browser that runs no script of a page."""

    options = {"java_script_enabled": False}  # noqa: RUF012 -- nobody changes it


class Keyboard:
    """With the keyboard alone."""

    options: dict[str, Any] = {}  # noqa: RUF012 -- nobody changes it

    def press(self, page: Page, name: str) -> None:
        """Go there by Tab, and press Enter."""
        choose(page, name)

    def fill(self, page: Page, label: str, text: str) -> None:
        """Go there by Tab, and type."""
        type_into(page, label, text)


WAYS: dict[str, Hands] = {"mouse": Mouse(), "keyboard": Keyboard(), "without JavaScript": WithoutJavaScript()}
