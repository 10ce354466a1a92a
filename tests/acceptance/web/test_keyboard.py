"""What people do at the console with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.accounts import PASSWORDS, Accounts
from tests.support.keyboard import choose, type_into
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_the_skip_link_and_a_wrong_field_with_the_keyboard(pages: Console, browser: Browser) -> None:
    """From the skip link on."""
    definition_id = pages.door.local.define("Only with Tab")
    page = pages.page(browser)
    page.goto("/folders")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    page.keyboard.press("Enter")
    type_into(page, "Name or query contains", "Only w")
    page.wait_for_url("**q=Only+w*")
    page.locator("#list tbody tr").nth(1).wait_for(state="detached")
    choose(page, "Only with Tab")
    page.wait_for_url(f"**/folders/{definition_id}")
    choose(page, "LDAP synchronization")
    page.wait_for_url("**/settings")
    choose(page, "Who of them, and when")
    type_into(page, "Filter", "((l=Berlin)")
    choose(page, "Save")
    page.get_by_role("heading", name="Please correct these fields").wait_for()


def test_settings_are_tested_previewed_and_saved(pages: Console, browser: Browser) -> None:
    """The keyboard stays where it was when the answer comes into the page."""
    local = pages.door.local
    definition_id = local.define("Settings by keyboard", filter="(l=Berlin)")
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}")
    choose(page, "LDAP synchronization")
    page.wait_for_url("**/settings")
    choose(page, "Test")
    page.get_by_role("heading", name="The test found no fault").wait_for()
    type_into(page, "Filter", "(l=Wien)")
    choose(page, "Show what would change")
    page.get_by_role("heading", name="What a run with these settings would do").wait_for()
    choose(page, "Save")
    page.get_by_text("Saved.").wait_for()
    assert local.get(f"/v1/definitions/{definition_id}")["filter"] == "(l=Wien)"


def test_a_folder_is_added_and_its_run_watched(pages: Console, browser: Browser) -> None:
    """From the list of folders to the contacts."""
    local = pages.door.local
    page = pages.page(browser)
    page.goto("/folders")
    choose(page, "New folder")
    page.wait_for_url("**/folders/new")
    for label, text in (
        ("LDAP query", f"{local.directory.url}/{local.directory.suffix}??sub?(l=Berlin)"),
        ("User", local.directory.reader_dn),
        ("Password", local.directory.reader_password),
        ("Name of the folder", "Added by keyboard"),
    ):
        type_into(page, label, text)
    choose(page, "Connection and limits")
    type_into(page, "Encryption", "none")
    choose(page, "Add the folder and start")
    page.wait_for_url("**/progress*")
    page.locator("#run .mark", has_text="changed").wait_for()
    page.locator("#live").wait_for(state="detached")
    choose(page, "Contacts")
    page.locator("#list tbody tr").first.wait_for()


def test_rights_are_given_and_the_folder_is_removed(pages: Console, browser: Browser) -> None:
    """Lists are chosen from by their first letters."""
    local = pages.door.local
    definition_id = local.define("Removed by keyboard")
    folder_id = local.get(f"/v1/definitions/{definition_id}")["folder_id"]
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}")
    choose(page, "Rights")
    page.wait_for_url("**/rights")
    type_into(page, "Name", "editors")
    type_into(page, "Kind", "group")
    choose(page, "Give the right")
    page.get_by_role("row", name="editors").wait_for()
    right = {"who": "editors", "is_group": True, "right": "view"}
    assert local.get(f"/v1/folders/{folder_id}/rights")["rights"] == [right]
    choose(page, "Take the right of editors away")
    page.get_by_role("row", name="editors").wait_for(state="detached")
    choose(page, "LDAP synchronization")
    page.wait_for_url("**/settings")
    choose(page, "Remove this folder …")
    page.wait_for_url("**/remove")
    type_into(page, "Name of the folder", "Removed by keyboard")
    choose(page, "Remove the folder")
    page.get_by_text("The folder was removed.").wait_for()
    assert local.http.get(f"/v1/definitions/{definition_id}").status_code == 404


def test_a_person_signs_in_asks_why_and_signs_out(console: Console, accounts: Accounts, browser: Browser) -> None:
    """An editor, with the password of the directory; a wrong one first."""
    assert accounts.dn("anna")
    local = console.door.local
    definition_id = local.define("Explained by keyboard")
    local.run(definition_id)
    console.door.give(definition_id, {"who": "anna", "right": "edit"})
    page = console.page(browser, signed_in=False)
    page.goto(f"/folders/{definition_id}/explain")
    for password in ("wrong", PASSWORDS["anna"]):
        type_into(page, "User name", "anna")
        type_into(page, "Password", password)
        page.keyboard.press("Enter")
        if password == "wrong":
            page.get_by_role("alert").wait_for()
    page.wait_for_url("**/explain")
    name = local.get(f"/v1/folders/{console.door.folder(definition_id)}/contacts", limit=1)["contacts"][0]["emails"][0]
    type_into(page, "Name, email, uid or DN of a person", name)
    page.keyboard.press("Enter")
    page.locator("#answer", has_text="It was added by").wait_for()
    choose(page, "Sign out")
    page.wait_for_url("**/sign-in*")
