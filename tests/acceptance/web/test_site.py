"""The documentation as a site: built without a warning, and opened from the disk, without a server or the network."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import pytest

from contactsync.errors import error_codes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[3]
AXE = Path(__file__).with_name("vendor") / "axe-4.14.1.min.js"
AXE_OPTIONS = {"preload": False, "resultTypes": ["violations"]}
PAGES = (
    "docs/README",
    "docs/tutorial/active-directory",
    "docs/how-to/alerts",
    "docs/how-to/install",
    "docs/reference/errors",
    "search",
)
LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = ((1280, "light"), (320, "dark"))
CODES = {
    "database.conflict": "docs/reference/errors.html",
    "run.finished": "docs/reference/logs.html",
    "scheduler.workers": "docs/reference/settings.html",
    "contactsync_held": "docs/reference/metrics.html",
}
"""What people search for, and the page that has it."""
ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source|link(?![^>]*rel=\"(?:canonical|license)\"))[^>]*=\"(?:https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tools.site", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return site


@pytest.fixture
def page(browser: Browser, site: Path) -> Iterator[Page]:
    """Give a page that may read nothing but files of the site, and may log no error."""
    complaints: list[str] = []
    requests: set[str] = set()
    with browser.new_page() as page:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.add(request.url))
        page.goto((site / "index.html").as_uri())
        page.wait_for_url("**/docs/README.html")
        yield page
    assert complaints == []
    assert {url for url in requests if not url.startswith(site.as_uri())} == set()


@pytest.mark.parametrize(("code", "found"), CODES.items())
def test_the_search_finds_a_code_on_its_page(page: Page, code: str, found: str) -> None:
    """The first result is the row of the code, without a request to a server."""
    page.get_by_role("searchbox").or_(page.locator("input[name=q]")).first.fill(code)
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.click()
    page.wait_for_url(f"**/{found}#{code}")
    assert page.locator(f"tr[id='{code}']").is_visible()
    assert code in page.locator(f"tr[id='{code}'] td").first.inner_text()


def test_every_error_has_an_anchor(site: Path) -> None:
    """Other programs can link to it."""
    text = (site / "docs" / "reference" / "errors.html").read_text(encoding="utf-8")
    assert [code for code in error_codes() if f'id="{code}"' not in text] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_narrow_and_wide_light_and_dark(page: Page, site: Path, name: str) -> None:
    """Nothing is found by axe, and nothing is wider than the window."""
    page.goto((site / f"{name}.html").as_uri())
    page.add_script_tag(path=AXE)
    found = []
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        result = page.evaluate("options => axe.run(document, options)", AXE_OPTIONS)
        found += [(width, scheme, each["id"], each["nodes"][0]["html"]) for each in result["violations"]]
    assert found == []


def test_every_link_leads_to_a_page_and_an_anchor_of_the_site(site: Path) -> None:
    """Strict builds check the links in the pages; this checks those that were made, too."""
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    anchors = {path: {unescape(each) for each in re.findall(r'\bid="([^"]+)"', text)} for path, text in texts.items()}
    dead = []
    for path, text in texts.items():
        for link in set(re.findall(r'<a [^>]*href="([^"]+)"', text)):
            parts = urlsplit(unescape(link))
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors[target]):
                dead.append((path.name, link))
    assert dead == []


def test_no_page_loads_something_from_elsewhere(site: Path) -> None:
    """No font, script, picture or style of another host."""
    assert [path.name for path in site.rglob("*.html") if ELSEWHERE.search(path.read_text(encoding="utf-8"))] == []
    assert [
        path.name for path in site.rglob("*.css") if re.search(r"url\([\"']?https?:", path.read_text("utf-8"))
    ] == []
