"""Makes the pictures of the web console in docs/images/: a browser at a real console, over the people of the demo.

Run it as `.venv/bin/python -m tools.console_pictures`. It starts private servers, as
`make demo` does, and needs chromium-headless-shell.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from contactsync.testing.company import administered
from contactsync.testing.people import people_ldif
from tests.support.daemon_client import DaemonClient
from tests.support.resources import database_of, short_directory
from tests.support.web import chromium, web_console
from tests.support.web_door import web_door
from tests.support.web_scene import have_run_before, hold

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).parents[1] / "docs" / "images"
PEOPLE = 120
WIDTH, HEIGHT = 1000, 620
MOST_BYTES = 120_000


def main() -> None:
    """Make all pictures."""
    with ExitStack() as stack:
        place, web, state = (stack.enter_context(short_directory()) for _ in range(3))
        database = stack.enter_context(database_of(stack.enter_context(embedded_server(state))))
        migrate(database)
        door = stack.enter_context(web_door(database, place, ldif=people_ldif(PEOPLE)))
        _set_scene(door.local)
        browser = stack.enter_context(chromium(stack.enter_context(sync_playwright())))
        console = stack.enter_context(web_console(door, web))
        page = console.page(browser, viewport={"width": WIDTH, "height": HEIGHT}, timezone_id="UTC")
        _take_pictures(page, door.local.staff)
        console.close()


def _set_scene(client: DaemonClient) -> None:
    hold(client, "Sales")
    for name, query in (("Branch office", "ldap://127.0.0.1:9"), ("Partners", "http://dc2.example.com")):
        definition_id = client.define(name, query=query)
        client.http.post(f"/v1/definitions/{definition_id}/sync", params={"wait": True})
    have_run_before(client, client.staff)
    with administered(client.directory) as company:
        people = [each for each in company.people() if each.has("telephoneNumber", "mail")]
        for number, entry in enumerate(people[:5]):
            company.edit(entry, {"telephoneNumber": [f"+49 30 555 010{number}"], "title": ["Team lead"]})
        for entry in people[5:7]:
            company.delete(entry)


def _take_pictures(page: Page, staff: int) -> None:
    page.goto("/")
    _take(page, "overview")
    page.goto(f"/folders/{staff}/settings")
    page.get_by_role("button", name="Show what would change").click()
    page.locator("#preview").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#result').scrollIntoView()")
    _take(page, "preview")
    page.goto("/")
    page.get_by_role("link", name="Review the plan").click()
    _take(page, "held")
    page.goto(f"/folders/{staff}/runs")
    _take(page, "days")
    page.goto(f"/folders/{staff}/mapping")
    page.locator("[id='field.display_name.sources']").fill("{sn}, {givenName}")
    page.keyboard.press("Tab")
    page.locator("#people h3", has_text=", ").first.wait_for()
    page.evaluate("document.querySelector('#editor').scrollIntoView()")
    _take(page, "mapping")


def _take(page: Page, name: str) -> None:
    octets = page.screenshot(path=PICTURES / f"console-{name}.png", caret="initial")
    if len(octets) > MOST_BYTES:
        raise SystemExit(f"The picture {name} has {len(octets):,} bytes, more than {MOST_BYTES:,}.")


if __name__ == "__main__":
    main()
