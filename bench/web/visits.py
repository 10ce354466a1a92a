"""What a browser loads, and when it shows the largest part of a page: cold and warm."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.figures import KILOBYTES, MILLISECONDS, NUMBER, SECONDS, Figure
from bench.terminal import say
from bench.web.scene import WebScene
from tests.support.web import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_TURNS = 2
_PAINTED = """() => new Promise(resolve => {
  const found = {lcp: 0, cls: 0};
  new PerformanceObserver(list => { for (const entry of list.getEntries()) found.lcp = entry.startTime; })
    .observe({type: "largest-contentful-paint", buffered: true});
  new PerformanceObserver(list => { for (const entry of list.getEntries()) found.cls += entry.value; })
    .observe({type: "layout-shift", buffered: true});
  setTimeout(() => resolve(found), 300);
})"""


class Visit(NamedTuple):
    """The octets of the answers with their headers, the requests that left the browser, and when it had painted."""

    octets: float
    requests: float
    painted: float
    shifted: float


def measure_visits(scene: WebScene) -> list[Figure]:
    """The first page of a visit with nothing in the browser's cache, and the pages after it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- the other parts do without it

    paths = ["/", "/folders", f"/folders/{scene.definition_id}", f"/contacts/{scene.folder_id}/{scene.people[0][0]}"]
    paths += [f"/folders/{scene.definition_id}?q=muller", f"/folders/{scene.definition_id}/settings"]
    first, later = [], []
    with sync_playwright() as playwright, chromium(playwright) as browser:
        for path in paths * _TURNS:
            page = _page(scene, browser)
            first.append(_visit(page, path))
            later.append(_visit(page, path))
            page.context.close()
    say(f"  a first visit: painted after {median(each.painted for each in first):.3f} s")
    return [
        Figure("first visit: octets", 30_000, [each.octets for each in first], KILOBYTES),
        Figure("first visit: requests", 6, [each.requests for each in first], NUMBER),
        Figure("later pages: octets", 5_000, [each.octets for each in later], KILOBYTES),
        Figure("largest paint (LCP), cold", 1, [each.painted for each in first], SECONDS),
        Figure("largest paint (LCP), warm", 0.3, [each.painted for each in later], MILLISECONDS),
        Figure("shifted layout (CLS), in thousandths", 0, [each.shifted * 1000 for each in first + later]),
    ]


def _page(scene: WebScene, browser: Browser) -> Page:
    """A page of a browser with an empty cache, where an administrator has signed in."""
    with scene.console.client() as client:
        client.post(scene.console.link())
        cookies: Any = [
            {"name": name, "value": value, "url": scene.console.url} for name, value in client.cookies.items()
        ]
    context = browser.new_context(base_url=scene.console.url)
    context.add_cookies(cookies)
    return context.new_page()


def _visit(page: Page, path: str) -> Visit:
    loaded: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
    page.goto(path, wait_until="networkidle")
    found = page.evaluate(_PAINTED)
    session.detach()
    sent = [octets for octets in loaded if octets]
    return Visit(sum(sent), len(sent), found["lcp"] / 1000, found["cls"])
