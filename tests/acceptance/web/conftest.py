"""The console's process and a browser, shared by all tests of the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.accounts import Accounts
from tests.support.company import Company, company
from tests.support.resources import database_of, short_directory
from tests.support.web import Console, another_view, chromium, web_console
from tests.support.web_door import WebDoor, web_door
from tests.support.web_scene import Scene, scene_ldif, set_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


@pytest.fixture(scope="session")
def accounts(door: WebDoor) -> Iterator[Accounts]:
    """Add people with passwords to the directory."""
    with short_directory() as place:
        accounts = Accounts(door.local.directory, place)
        yield accounts
        accounts.close()


@pytest.fixture(scope="session")
def _console(door: WebDoor, accounts: Accounts) -> Iterator[Console]:
    with short_directory() as place, web_console(door, place, **accounts.settings()) as console:
        yield console


@pytest.fixture
def console(_console: Console) -> Iterator[Console]:
    """Give the console; its clients and pages end with the test, and no page may have logged an error."""
    _console.complaints = []
    yield _console
    _console.close()
    assert not _console.complaints


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Start playwright's driver. Its event loop must end before other tests run theirs in this thread."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- it takes a while, and only some tests need it

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Start Debian's chromium."""
    with chromium(playwright) as started:
        yield started


@pytest.fixture(scope="session")
def _scene(postgres_server: str, migrated_template: str) -> Iterator[tuple[Console, Scene]]:
    with (
        short_directory() as place,
        short_directory() as web,
        database_of(postgres_server, template=migrated_template) as database,
        web_door(database, place, ldif=scene_ldif()) as door,
        web_console(door, web) as console,
    ):
        yield console, set_scene(door.local)


@pytest.fixture
def pages(_scene: tuple[Console, Scene]) -> Iterator[Console]:
    """Give a console with folders in every state; its pages end with the test, and none may have logged an error."""
    with closing(another_view(_scene[0])) as console:
        yield console
    assert not console.complaints


@pytest.fixture(scope="session")
def scene(_scene: tuple[Console, Scene]) -> Scene:
    """Give the folders in every state."""
    return _scene[1]


@pytest.fixture(scope="session")
def people(postgres_server: str, migrated_template: str) -> Iterator[Company]:
    """Give folders with an owner, editors and viewers, for all tests of what people may do."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        company(database, place) as people,
    ):
        yield people
