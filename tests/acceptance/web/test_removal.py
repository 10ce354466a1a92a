"""The removal of a folder at the console, and what becomes of pages that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.accounts import Accounts
from tests.support.web import Console
from tests.support.web_scene import Scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_folder_is_removed_after_its_name_was_typed(pages: Console, browser: Browser) -> None:
    """The page says what will be lost; it needs no JavaScript, and the audit has the person."""
    local = pages.door.local
    definition_id = local.define("To be removed", filter="(l=Berlin)")
    contacts = local.run(definition_id)["inserted"]
    folder_id = local.get(f"/v1/definitions/{definition_id}")["folder_id"]
    page = pages.page(browser, java_script_enabled=False)
    page.goto(f"/folders/{definition_id}/settings")
    page.get_by_role("link", name="Remove this folder").click()
    page.get_by_text(f"{contacts} contacts are deleted, also in the applications").wait_for()
    assert page.get_by_text("The folder itself with its runs").count() == 1
    for wrong in ("", "to be removed"):
        page.get_by_label("Name of the folder").fill(wrong)
        page.get_by_role("button", name="Remove the folder").click()
        field = page.get_by_label("Name of the folder")
        assert (field.get_attribute("aria-invalid"), field.input_value()) == ("true", wrong)
    assert local.get(f"/v1/definitions/{definition_id}")["contacts"] == contacts
    page.get_by_label("Name of the folder").fill(" To be removed")
    page.get_by_role("button", name="Remove the folder").click()
    page.get_by_text("The folder was removed.").wait_for()
    assert local.http.get(f"/v1/definitions/{definition_id}").status_code == 404
    count = "SELECT count(*) FROM contactsync.contacts WHERE folder_id = %s"
    assert local.person.execute(count, [folder_id]).fetchone() == (0,)
    (deed,) = local.get(f"/v1/definitions/{definition_id}/edits", limit=1)["deeds"]
    assert (deed["action"], deed["via"], deed["label"]) == ("definition.removed", "web", "To be removed")


def test_contacts_can_be_kept(pages: Console) -> None:
    """And a name that cannot be typed is confirmed by what is visible of it; the folder stays with its contacts."""
    local = pages.door.local
    definition_id = local.define("\N{RIGHT-TO-LEFT OVERRIDE}Kept\N{NO-BREAK SPACE}Cafe\N{COMBINING ACUTE ACCENT}")
    contacts = local.run(definition_id)["inserted"]
    folder_id = local.get(f"/v1/definitions/{definition_id}")["folder_id"]
    client = pages.administrator()
    path = f"/folders/{definition_id}/remove"
    assert client.post(path, data={"name": "Kept", "keep": "true"}).status_code == 422
    assert client.post(path, data={"name": "Kept Café", "keep": "true"}).status_code == 303
    invisible = local.define("\N{ZERO WIDTH SPACE}")
    assert client.post(f"/folders/{invisible}/remove", data={"name": ""}).status_code == 422
    assert client.post(f"/folders/{invisible}/remove", data={"name": str(invisible)}).status_code == 303
    (folder,) = local.get("/v1/folders", after=folder_id - 1, limit=1)["folders"]
    assert (folder["folder_id"], folder["contacts"], folder["definitions"]) == (folder_id, contacts, [])


def test_open_pages_say_that_the_folder_was_removed(pages: Console, browser: Browser) -> None:
    """Also where a part of a page is loaded again; an administrator reads by whom and when."""
    local = pages.door.local
    definition_id = local.define("Open in tabs")
    local.run(definition_id)
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}")
    other = page.context.new_page()
    other.goto(f"/folders/{definition_id}/settings")
    client = pages.administrator()
    assert client.post(f"/folders/{definition_id}/remove", data={"name": "Open in tabs"}).status_code == 303
    page.get_by_label("Name, email, phone or department").press_sequentially("anna")
    page.get_by_role("heading", name="This folder was removed").wait_for()
    assert page.get_by_text("removed the folder Open in tabs on 20").count() == 1
    other.get_by_role("button", name="Test", exact=True).click()
    other.get_by_role("heading", name="This folder was removed").wait_for()
    for method, part in (("GET", ""), ("GET", "/runs"), ("POST", "/sync"), ("POST", "/settings"), ("POST", "/remove")):
        answer = client.request(method, f"/folders/{definition_id}{part}")
        assert (answer.status_code, "This folder was removed" in answer.text) == (404, True), part


def test_who_may_not_see_a_folder_does_not_learn_of_its_removal(console: Console, accounts: Accounts) -> None:
    """The page is that of a folder that never was. Viewers and editors remove nothing; owners do, if it is allowed."""
    assert accounts.dn("bert")
    local = console.door.local
    definition_id = local.define("Removed elsewhere")
    path = f"/folders/{definition_id}/remove"
    client = console.person("bert")
    for right in ("view", "edit"):
        console.door.give(definition_id, {"who": "bert", "right": right})
        assert client.get(path).status_code == client.post(path, data={"name": "Removed elsewhere"}).status_code == 403
        assert path not in client.get(path.replace("remove", "settings")).text
    assert local.http.delete(f"/v1/definitions/{definition_id}").is_success
    gone, never = (client.get(f"/folders/{number}") for number in (definition_id, 999_999))
    assert gone.status_code == 404
    assert "This folder is not there" in gone.text
    assert gone.text == never.text
    own = local.define("Bert's own")
    local.person.execute("UPDATE contactsync.folders SET owner = 'bert' WHERE name = %s", ["Bert's own"])
    assert client.get(f"/folders/{own}/remove").status_code == 200
    assert f"/folders/{own}/remove" in client.get(f"/folders/{own}/settings").text
    assert client.post(f"/folders/{own}/remove", data={"name": "bert/Bert's own"}).status_code == 303
    assert local.http.get(f"/v1/definitions/{own}").status_code == 404


def test_the_page_is_in_german(pages: Console, scene: Scene) -> None:
    """As the others."""
    text = pages.administrator().get(f"/folders/{scene.paths['staff']}/remove", headers={"Accept-Language": "de"}).text
    assert "Was verloren geht" in text
