"""Many tabs and many people that follow the progress of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.watchers import follow_run
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TABS = 6
"""As many as a browser has connections to a server, over HTTP/1.1."""
# Without a window, chromium has no hidden tabs.
_HIDEABLE = """
let hidden = location.hash === "#background";
Object.defineProperty(Document.prototype, "hidden", {get: () => hidden});
Object.defineProperty(Document.prototype, "visibilityState", {get: () => hidden ? "hidden" : "visible"});
window.hide = (value) => { hidden = value; document.dispatchEvent(new Event("visibilitychange")); };
"""


def test_a_hundred_streams_of_progress_are_one_connection_to_the_daemon(console: Console) -> None:
    """Each sees the end of the run."""
    people = [console.administrator(), console.person("anna")]
    followed = follow_run(console, console.door.local.staff, 100, people)
    assert len(followed.ends) == 100
    assert followed.connections == 1


@pytest.mark.parametrize("opened", ["in the foreground", "in the background"])
def test_hidden_tabs_leave_their_connections_to_others(pages: Console, browser: Browser, opened: str) -> None:
    """A page loads beside tabs that wait for a run, and each tab shows its end when a person looks at it."""
    background = opened == "in the background"
    local = pages.door.local
    (newest,) = local.get("/v1/runs", definition_id=local.staff, limit=1)["runs"]
    first = pages.page(browser)
    first.context.add_init_script(_HIDEABLE)
    tabs = [first]
    for number in range(TABS):
        tab = first if number == 0 else first.context.new_page()
        tab.goto(f"/folders/{local.staff}/progress?after={newest['run_id']}" + ("#background" if background else ""))
        tab.locator("#run progress").wait_for()
        if not background:
            tab.evaluate("hide(true)")
        tabs[number:] = [tab]
    other = first.context.new_page()
    other.goto("/folders", timeout=10_000)
    assert other.locator("h1").inner_text() == "Folders"
    local.run(local.staff)
    for tab in tabs:
        tab.evaluate("hide(false)")
    for tab in tabs:
        tab.locator("#run .mark", has_text="unchanged").wait_for()
        tab.locator("#live").wait_for(state="detached")
