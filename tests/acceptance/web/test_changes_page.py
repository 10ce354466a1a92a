"""What changed in a folder: the page and its API, and a read that takes too long."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.support.keyboard import choose, type_into
from tests.support.web import Console
from tests.support.web_scene import Scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def leafed(pages: Console, definition_id: int, **filters: Any) -> list[dict[str, Any]]:
    """All changes of a folder, a few at a time."""
    changes: list[dict[str, Any]] = []
    before = ""
    while before is not None:
        path = f"/v1/definitions/{definition_id}/changes"
        page = pages.door.local.get(path, limit=7, before=before, **filters)
        changes += page["changes"]
        before = page["next_before"]
    return changes


def test_changes_are_those_of_the_runs_newest_first(pages: Console, scene: Scene) -> None:
    """By the API, a page at a time: each change once, with its run; filters are for kind and name."""
    local, staff = pages.door.local, scene.definitions["staff"]
    changes = leafed(pages, staff)
    runs = [run for run in local.get("/v1/runs", definition_id=staff)["runs"] if run["outcome"] == "changed"]
    documents = [local.get(f"/v1/runs/{run['run_id']}", limit=1000) for run in runs]
    expected = [
        (run["run_id"], change["contact_id"], change["action"], change["fields"])
        for run in documents
        for change in sorted(run["changes"], key=lambda change: -change["contact_id"])
    ]
    assert len(runs) > 1
    assert [(each["run_id"], each["contact_id"], each["action"], each["fields"]) for each in changes] == expected
    assert {each["at"] for each in changes} == {run["finished_at"] for run in runs}
    assert {each["action"] for each in leafed(pages, staff, action="update")} == {"update"}
    name = changes[0]["display_name"]
    assert {each["display_name"] for each in leafed(pages, staff, text=name.lower())} == {name}


def test_changes_are_leafed_through_without_javascript(pages: Console, scene: Scene, browser: Browser) -> None:
    """Each row has the time, the run, the contact and each field before and after."""
    page = pages.page(browser, java_script_enabled=False)
    page.goto("/folders/{staff}".format(**scene.paths))
    page.get_by_role("link", name="Changes", exact=True).click()
    first = re.sub(r"\s+", " ", page.locator("tbody tr", has_text="after:").first.text_content() or "")
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC ?Run \d+ changed .*before: .+ after: .+", first), first
    rows = page.locator("tbody tr").count()
    while page.get_by_role("link", name="Older changes").count():
        page.get_by_role("link", name="Older changes").click()
        rows += page.locator("tbody tr").count()
    assert rows == len(leafed(pages, scene.definitions["staff"]))
    page.get_by_label("Change", exact=True).select_option("deleted")
    page.get_by_label("Name contains").fill("zzzz")
    page.get_by_role("button", name="Search").click()
    assert page.get_by_text("No change matches.").count() == 1
    german = pages.administrator().get(page.url, headers={"Accept-Language": "de"}).text
    assert "Keine Änderung passt." in german


def find_by_mouse(page: Page, name: str) -> None:
    """Open the page with a click, and type a name."""
    page.get_by_role("link", name="Changes", exact=True).click()
    page.get_by_label("Name contains").press_sequentially(name)


def find_by_keyboard(page: Page, name: str) -> None:
    """Do the same by Tab and Enter."""
    choose(page, "Changes")
    page.wait_for_url("**/changes")
    type_into(page, "Name contains", name)


def test_changes_are_searched_while_typing(pages: Console, scene: Scene, browser: Browser) -> None:
    """With the mouse, and with the keyboard alone."""
    name = leafed(pages, scene.definitions["staff"])[0]["display_name"]
    page = pages.page(browser)
    for find in (find_by_mouse, find_by_keyboard):
        page.goto("/folders/{staff}".format(**scene.paths))
        find(page, name)
        page.wait_for_url("**q=*")
        page.locator("#list tbody tr").nth(20).wait_for(state="detached")
        assert {each.strip() for each in page.locator("#list tbody th").all_inner_texts()} == {name}


def test_a_read_that_takes_too_long_is_ended_and_said(pages: Console, scene: Scene, browser: Browser) -> None:
    """Another session has locked the contacts. A search in the page says it, too; later all is as before."""
    door, client = pages.door, pages.administrator()
    path, api = ("{}/{staff}".format(each, **scene.paths) for each in ("/folders", "/v1/definitions"))
    page = pages.page(browser)
    page.goto(f"{path}/changes")
    with ThreadPoolExecutor(3) as threads, door.local.person.transaction():
        door.local.person.execute("LOCK TABLE contactsync.contacts, contactsync.contact_changes")
        asked = threads.submit(door.ask, "root", "GET", f"{api}/contacts")
        english, german = (threads.submit(client.get, path, headers={"Accept-Language": each}) for each in ("en", "de"))
        page.get_by_label("Change", exact=True).select_option("added")
        page.get_by_role("heading", name="This is not possible now").wait_for()
        answer, shown, translated = asked.result(), english.result(), german.result()
    assert (answer.status_code, answer.json()["code"]) == (503, "database.slow")
    assert "ask for less" in answer.json()["hint"]
    assert (shown.status_code, translated.status_code) == (503, 503)
    assert "Try again in a moment" in shown.text
    assert "Die Datenbank hat dafür zu lange gebraucht" in translated.text
    for _ in range(4):
        assert client.get(path).status_code == 200
    assert door.local.run(scene.definitions["staff"])["outcome"] == "unchanged"
