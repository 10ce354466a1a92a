"""Every page in a browser: its structure, its accessibility, its width, and names that want to break it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import pytest

from tests.support.web import Console, another_view
from tests.support.web_scene import HOSTILE_UNIT, LONG, SCRIPT, Scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = Path(__file__).with_name("vendor") / "axe-4.14.1.min.js"
ZOOMED = (320, 256)
"""A window of 1280 x 1024 at 400 % (WCAG 2.2, 1.4.10), which is also a narrow telephone."""
BETWEEN = (960, 900, 768, 640)
PAGES = {
    "overview": "/",
    "folders": "/folders",
    "folders in a state": "/folders?state=held&q=a",
    "no folders": "/folders?q=no+such+folder",
    "a folder": "/folders/{staff}",
    "a folder with hostile names": "/folders/{unusual}",
    "an empty folder": "/folders/{empty}",
    "nobody found": "/folders/{staff}?q=no+such+person",
    "LDAP synchronization": "/folders/{staff}/settings",
    "settings that are not valid": "/folders/{invalid}/settings",
    "edits": "/folders/{sales}/edits",
    "a base that was taken": "/folders/{staff}/settings?base=ou%3Dpeople",
    "the directory": "/folders/{staff}/browse",
    "people of the directory": f"/folders/{{unusual}}/browse?base={quote(HOSTILE_UNIT)}",
    "a base that does not exist": "/folders/{staff}/browse?base=ou%3Dnowhere",
    "the directory for a password": "/folders/{locked}/browse",
    "mapping": "/folders/{staff}/mapping",
    "mapping with unusual people": "/folders/{unusual}/mapping",
    "progress": "/folders/{staff}/progress",
    "no progress yet": "/folders/{never}/progress",
    "changes of a folder": "/folders/{staff}/changes",
    "changes with hostile names": "/folders/{unusual}/changes",
    "runs of a folder": "/folders/{staff}/runs",
    "runs of thirty days": "/folders/{new}/runs",
    "why a person is here": "/folders/{staff}/explain?who=no+such+person",
    "rights": "/folders/{staff}/rights",
    "new folder": "/folders/new",
    "removal": "/folders/{unusual}/remove",
    "runs": "/runs",
    "a run": "/runs/{changed_run}",
    "undo": "/runs/{changed_run}/undo",
    "a failed run": "/runs/{failed_run}",
    "a held run": "/runs/{held_run}",
    "a contact": "/contacts/{staff_folder}/{contact}",
    "a contact with a hostile name": "/contacts/{unusual_folder}/{hostile_contact}",
    "audit": "/audit",
    "log": "/log",
    "settings in force": "/settings",
    "not found": "/folders/999999",
}
AXE_OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
"""What depends on the scheme."""
EDGES = """all => all.map(each => [
  each.hasAttribute("aria-current"), getComputedStyle(each).borderBottomColor])"""
"""Whether it is the present one, and its lower border."""
SCHEMES: tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...] = (("light", AXE_OPTIONS), ("dark", COLOURS))


@pytest.fixture(scope="module")
def view(_scene: tuple[Console, Scene], browser: Browser) -> Iterator[Console]:
    """Give the console to the tests of this file, which share one page. It is closed before the browser is."""
    assert browser.is_connected()
    with closing(another_view(_scene[0])) as console:
        yield console


@pytest.fixture(scope="module")
def _page(view: Console, browser: Browser) -> Page:
    page = view.page(browser)
    page.context.add_init_script(path=AXE)
    return page


@pytest.fixture
def page(view: Console, _page: Page) -> Iterator[Page]:
    """Give an administrator's page, which may log no error."""
    yield _page
    assert not view.complaints


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES.keys())
def test_a_page_is_accessible_at_each_width_and_in_each_scheme(page: Page, scene: Scene, path: str) -> None:
    """It has one h1, landmarks, a title and a skip link; axe finds nothing, and nothing is wider than the window."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(path.format(**scene.paths))
    assert page.locator("h1").count() == 1
    assert page.title() != "broken"
    assert page.locator("main#main, header, a.skip[href='#main']").count() == 3
    for width in BETWEEN:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def violations(page: Page) -> list[tuple[Any, ...]]:
    """What axe finds, wide and narrow, light and dark; nothing may be wider than the window."""
    found = []
    for width, height in ((1280, 900), ZOOMED):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for scheme, options in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            result = page.evaluate("options => axe.run(document, options)", options)
            found += [
                (width, scheme, each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"])
                for each in result["violations"]
            ]
    return found


ANSWERS = {
    "a test": ("/folders/{staff}/settings", "Test", {}, "#check"),
    "a test of a server that is away": ("/folders/{offline}/settings", "Test", {}, "#check"),
    "a plan": ("/folders/{staff}/settings", "Show what would change", {"#filter": "(l=Berlin)"}, "#preview"),
    "wrong fields": ("/folders/{staff}/settings", "Save", {"#filter": "((", "#schedule": "x"}, "#filter-error"),
    "a wrong mapping": ("/folders/{staff}/mapping", "Save", {"[id='field.initials.sources']": "?"}, "#summary"),
    "a new folder's directory": (
        "/folders/new",
        "Browse the directory",
        {"#query": "ldap://127.0.0.1:9"},
        ".notice.bad",
    ),
    "a wrong name": ("/folders/{unusual}/remove", "Remove the folder", {"#name": "x"}, "[aria-invalid]"),
}
"""Where which button is pressed, what is typed before, and what then comes."""


@pytest.mark.parametrize(("path", "button", "typed", "then"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_answer_to_a_form_is_accessible(
    page: Page, scene: Scene, path: str, button: str, typed: dict[str, str], then: str
) -> None:
    """As a page is."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(path.format(**scene.paths))
    page.locator("main details").evaluate_all("all => all.forEach(each => each.open = true)")
    for place, text in typed.items():
        page.locator(place).fill(text)
    page.get_by_role("button", name=button, exact=True).click()
    page.locator(then).first.wait_for()
    assert page.locator("h1").count() == 1
    assert violations(page) == []


def test_hostile_names_are_text(page: Page, scene: Scene) -> None:
    """A script is shown, a name of 10,000 characters is cut in lists, and each name has its own direction."""
    page.goto("/folders/{unusual}".format(**scene.paths))
    assert page.get_by_role("link", name=SCRIPT).count() == 1
    longest = max(page.locator("#list th a").all_inner_texts(), key=len)
    assert LONG.startswith(longest.rstrip("…"))
    assert len(longest) == 120
    assert page.locator("#list th a > bdi").count() == page.locator("#list th a").count()
    page.goto("/contacts/{unusual_folder}/{hostile_contact}".format(**scene.paths))
    assert page.locator("h1").inner_text() == SCRIPT
    assert page.locator("img[src='x']").count() == 0


def test_forced_colours_keep_what_a_border_says(page: Page, scene: Scene) -> None:
    """As of Windows' high contrast: one tab is the present one, and buttons, marks and pictures can be seen."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(forced_colors="active")
    try:
        for path in (
            "/folders/{sales}/edits",
            "/folders/{staff}/mapping",
            "/folders/{staff}/browse",
            "/folders/{new}/runs",
        ):
            page.goto(path.format(**scene.paths))
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            tabs = page.locator(".bar ul a, .tabs a").evaluate_all(EDGES)
            assert {edge for current, edge in tabs if not current} == {paper}
            assert all(edge != paper for current, edge in tabs if current)
            others = page.locator("main button.main, .mark").evaluate_all(EDGES)
            assert all(edge != paper for _, edge in others)
            bars = page.locator(".lane rect").evaluate_all("all => all.map(each => getComputedStyle(each).fill)")
            assert paper not in bars
    finally:
        page.emulate_media(forced_colors="none")
