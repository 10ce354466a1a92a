"""What people do at the console, each with the mouse, with the keyboard alone, and without JavaScript.

`ELSEWHERE` has the flows whose three ways are in other files, which test more of them.
"""

from __future__ import annotations

import csv
import io
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.accounts import PASSWORDS, Accounts
from tests.support.hands import WAYS, Hands
from tests.support.web import Console
from tests.support.web_scene import hold

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ELSEWHERE = {
    "test, preview and save of settings": (
        "test_flows.test_settings_are_tested_previewed_and_saved_with_the_mouse",
        "test_keyboard.test_settings_are_tested_previewed_and_saved",
        "test_flows.test_wrong_settings_are_marked_and_kept",
    ),
    "new folder": (
        "test_directory_pages.test_a_new_folder_takes_its_base_from_the_directory",
        "test_keyboard.test_a_folder_is_added_and_its_run_watched",
        "test_flows.test_a_new_folder_is_filled_without_javascript",
    ),
    "browse, and take a base": (
        "test_directory_pages.test_a_base_is_found_and_taken_with_the_mouse",
        "test_directory_pages.test_a_base_is_found_and_taken_with_the_keyboard",
        "test_directory_pages.test_a_new_folder_takes_its_base_from_the_directory",
    ),
    "mapping": (
        "test_mapping_page.test_people_follow_what_is_typed_and_a_save_does_what_was_shown",
        "test_mapping_page.test_a_mapping_is_edited_with_the_keyboard",
        "test_mapping_page.test_each_mistake_is_marked_at_its_row",
    ),
    "rights": (
        "test_rights_page.test_rights_are_given_and_taken_away",
        "test_keyboard.test_rights_are_given_and_the_folder_is_removed",
        "test_rights_page.test_rights_are_given_and_taken_away",
    ),
    "removal": (
        "test_removal.test_a_folder_is_removed_after_its_name_was_typed",
        "test_keyboard.test_rights_are_given_and_the_folder_is_removed",
        "test_removal.test_a_folder_is_removed_after_its_name_was_typed",
    ),
    "changes of a folder": (
        "test_changes_page.test_changes_are_searched_while_typing",
        "test_changes_page.test_changes_are_searched_while_typing",
        "test_changes_page.test_changes_are_leafed_through_without_javascript",
    ),
}
"""The tests by flow: mouse, keyboard, without JavaScript."""
SIGNS = {
    "mouse": (".click()", "find_by_mouse"),
    "keyboard": ("choose(", "find_by_keyboard"),
    "without JavaScript": ("java_script_enabled=False", "java_script_enabled=javascript"),
}
"""What a test in each way has in its text."""


@pytest.mark.parametrize("flow", ELSEWHERE)
def test_the_tests_of_a_flow_are_there(flow: str) -> None:
    """Each of the three, in its file, with what its way needs."""
    for way, name in zip(WAYS, ELSEWHERE[flow], strict=True):
        file, _, test = name.partition(".")
        _, _, after = Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8").partition(f"def {test}(")
        body = after.partition("\ndef ")[0]
        assert any(each in body for each in SIGNS[way]), (way, name)


@pytest.mark.parametrize("hands", WAYS.values(), ids=WAYS)
def test_a_folder_is_searched_run_paused_and_explained(pages: Console, browser: Browser, hands: Hands) -> None:
    """Search of folders and contacts, a contact's history, a run and its progress, pause, resume, edits, explain."""
    definition_id = pages.door.local.define(f"Toured {id(hands)}")
    page = pages.page(browser, **hands.options)
    page.goto("/folders")
    hands.fill(page, "Name or query contains", f"toured {id(hands)}")
    hands.press(page, "Search")
    page.wait_for_url("**q=toured*")
    page.locator("#list tbody tr").nth(1).wait_for(state="detached")
    hands.press(page, f"Toured {id(hands)}")
    page.wait_for_url(f"**/folders/{definition_id}")
    hands.press(page, "Synchronize now")
    page.locator("#run .mark", has_text="changed").wait_for()
    page.locator("#live").wait_for(state="detached")
    hands.press(page, "Pause")
    page.locator(".head .mark", has_text="paused").wait_for()
    hands.press(page, "Resume")
    page.locator(".head .mark", has_text="in sync").wait_for()
    hands.press(page, "Edits")
    page.get_by_role("row", name="added").wait_for()
    hands.press(page, "Why is a person here?")
    page.wait_for_url("**/explain")
    hands.fill(page, "Name, email, uid or DN of a person", "neu1@example.test")
    hands.press(page, "Explain")
    page.locator("#answer", has_text="It was added by").wait_for()
    hands.press(page, "Contacts")
    page.wait_for_url(f"**/folders/{definition_id}")
    hands.fill(page, "Name, email, phone or department", "gunther mull")
    hands.press(page, "Search")
    page.wait_for_url("**q=gunther+mull*")
    page.locator("#list tbody tr").nth(1).wait_for(state="detached")
    hands.press(page, "Günther Müller")
    page.wait_for_url("**/contacts/**")
    assert page.locator("h1").inner_text() == "Günther Müller"
    assert page.locator(".story li").count() == 1


@pytest.mark.parametrize("hands", WAYS.values(), ids=WAYS)
def test_held_runs_are_decided_and_one_is_undone(pages: Console, browser: Browser, hands: Hands) -> None:
    """Reject; then the CSV, approve, and undo, which say first what they will do."""
    local, name = pages.door.local, f"Held {id(hands)}"
    definition_id, run_id = hold(local, name)
    before = local.get(f"/v1/definitions/{definition_id}")["contacts"]
    page = pages.page(browser, **hands.options)
    page.goto(f"/folders/{definition_id}")
    hands.press(page, "Review the plan")
    page.wait_for_url(f"**/runs/{run_id}")
    hands.press(page, "Keep them and discard this plan")
    page.locator(".mark", has_text="rejected").wait_for()
    held = local.run(definition_id)["run_id"]
    plan = local.get(f"/v1/runs/{held}/plan", action="delete", limit=1000)
    page.goto(f"/runs/{held}")
    with page.expect_download() as download:
        hands.press(page, "Download as CSV")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert {int(row["contact_id"]) for row in rows} == {each["contact_id"] for each in plan["changes"]}
    hands.press(page, f"Delete these {plan['deleted']} contacts")
    page.wait_for_url(f"**/folders/{definition_id}/progress*")
    page.locator("#run .mark", has_text="changed").wait_for()
    page.locator("#live").wait_for(state="detached")
    last = local.get(f"/v1/definitions/{definition_id}")["last_run_id"]
    hands.press(page, f"Run {last}")
    page.wait_for_url(f"**/runs/{last}")
    hands.press(page, "Undo …")
    page.wait_for_url("**/undo")
    hands.press(page, f"Undo run {last}")
    page.wait_for_url(lambda url: not url.endswith("/undo"))
    assert local.get(f"/v1/definitions/{definition_id}")["contacts"] == before


@pytest.mark.parametrize("hands", WAYS.values(), ids=WAYS)
def test_a_run_is_cancelled(pages: Console, browser: Browser, hands: Hands) -> None:
    """One that waits for a server which never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        query = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        definition_id = pages.door.local.define(f"Cancelled {id(hands)}", query=query)
        page = pages.page(browser, **hands.options)
        page.goto(f"/folders/{definition_id}")
        hands.press(page, "Synchronize now")
        pages.door.local.running(definition_id)
        page.wait_for_url("**/progress*")
        page.goto(f"/folders/{definition_id}/progress")
        hands.press(page, "Cancel the run")
        page.locator("#run .mark", has_text="cancelled").wait_for()


@pytest.mark.parametrize("hands", WAYS.values(), ids=WAYS)
def test_a_person_signs_in_sees_the_daemon_and_signs_out(
    console: Console, accounts: Accounts, browser: Browser, hands: Hands
) -> None:
    """By a link, and by a password; audit, log, settings, and the language between."""
    assert accounts.dn("bert")
    page = console.page(browser, signed_in=False, locale="en", **hands.options)
    page.goto(console.link())
    hands.press(page, "Sign in")
    page.wait_for_url(f"{console.url}/")
    hands.press(page, "Daemon")
    page.get_by_role("heading", name="Who did what").wait_for()
    hands.press(page, "Log")
    page.wait_for_url("**/log")
    hands.fill(page, "Level, or above", "error")
    hands.press(page, "Show")
    page.wait_for_url("**level=error*")
    hands.press(page, "Settings in force")
    page.wait_for_url("**/settings")
    hands.press(page, "Read the settings again")
    page.get_by_text("None has changed.").wait_for()
    hands.press(page, "Deutsch")
    page.get_by_role("heading", name="Geltende Einstellungen").wait_for()
    hands.press(page, "English")
    page.get_by_role("heading", name="Settings in force").wait_for()
    hands.press(page, "Sign out")
    page.wait_for_url("**/sign-in")
    hands.fill(page, "User name", "bert")
    hands.fill(page, "Password", PASSWORDS["bert"])
    hands.press(page, "Sign in")
    page.wait_for_url(f"{console.url}/")
    assert page.get_by_role("link", name="Daemon").count() == 0
