"""The console's process and a browser, shared by all tests of the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.resources import short_directory
from tests.support.web import Console, chromium, web_console
from tests.support.web_door import WebDoor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


@pytest.fixture(scope="session")
def _console(door: WebDoor) -> Iterator[Console]:
    with short_directory() as place, web_console(door, place) as console:
        yield console


@pytest.fixture
def console(_console: Console) -> Iterator[Console]:
    """Give the console; its clients and pages end with the test, and no page may have logged an error."""
    _console.complaints = []
    yield _console
    _console.close()
    assert not _console.complaints


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Start playwright's driver."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- it takes a while, and only some tests need it

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Start Debian's chromium."""
    with chromium(playwright) as started:
        yield started
