"""The pages that search a directory: to find a base, and to explain why a person is in a folder or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.support.accounts import PASSWORDS, Accounts
from tests.support.keyboard import choose, type_into
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def of_bert(console: Console, accounts: Accounts) -> Iterator[int]:
    """Give a folder that bert edits, with a password that bert has not given."""
    assert accounts.dn("bert")
    local = console.door.local
    definition_id = local.define("Of bert", base=f"ou=Sales,ou=people,{local.directory.suffix}")
    local.run(definition_id)
    console.door.give(definition_id, {"who": "bert", "right": "edit"})
    yield definition_id
    local.http.delete(f"/v1/definitions/{definition_id}")


@pytest.fixture(params=[True, False], ids=["JavaScript", "no JavaScript"])
def java_script(request: pytest.FixtureRequest) -> bool:
    """Give whether the browser has JavaScript."""
    return bool(request.param)


@pytest.fixture
def page(console: Console, of_bert: int, browser: Browser, java_script: bool) -> Page:  # noqa: FBT001 -- a fixture
    """Give a page for which bert has signed in."""
    assert of_bert
    page = console.page(browser, signed_in=False, java_script_enabled=java_script)
    page.goto("/sign-in")
    page.get_by_label("User name").fill("bert")
    page.get_by_label("Password").fill(PASSWORDS["bert"])
    page.get_by_role("main").get_by_role("button").click()
    return page


def test_a_base_is_found_and_taken_with_the_mouse(pages: Console, browser: Browser) -> None:
    """From the settings and back to them: it is filled in, and nothing is saved before Save."""
    local = pages.door.local
    definition_id = local.define("Base by mouse")
    wanted = f"ou=Sales,ou=people,{local.directory.suffix}"
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}/settings")
    page.get_by_text("Who of them, and when").click()
    page.get_by_role("link", name="Browse the directory").click()
    page.get_by_role("link", name="ou=people", exact=True).click()
    page.get_by_role("link", name="ou=Sales", exact=True).click()
    assert page.get_by_role("navigation", name="Entries above").get_by_role("link").count() == 2
    page.get_by_role("link", name="Take this entry as base").click()
    assert page.get_by_label("Base", exact=True).input_value() == wanted
    assert page.get_by_text("not saved yet").is_visible()
    assert local.get(f"/v1/definitions/{definition_id}")["base"] is None
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert local.get(f"/v1/definitions/{definition_id}")["base"] == wanted
    page.goto(f"/folders/{definition_id}/browse?base={quote(f'ou=people,{local.directory.suffix}')}")
    assert page.get_by_role("row", name="ou=Sales").get_by_text("base now").is_visible()


def test_a_base_is_found_and_taken_with_the_keyboard(pages: Console, browser: Browser) -> None:
    """An entry may also be named; one that does not exist is a sentence, and stays in the field."""
    local = pages.door.local
    definition_id = local.define("Base by keyboard")
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}/browse")
    type_into(page, "Entry", "ou=nowhere")
    page.keyboard.press("Enter")
    page.get_by_text('does not know the search base "ou=nowhere"').wait_for()
    assert page.get_by_label("Entry").input_value() == "ou=nowhere"
    type_into(page, "Entry", local.directory.suffix)
    page.keyboard.press("Enter")
    page.locator(".level").wait_for()
    choose(page, "ou=people")
    page.get_by_role("link", name="ou=Sales", exact=True).wait_for()
    choose(page, "Take this entry as base")
    page.wait_for_url("**/settings?base=*")
    assert page.get_by_label("Base", exact=True).input_value() == f"ou=people,{local.directory.suffix}"


def test_a_new_folder_takes_its_base_from_the_directory(pages: Console, browser: Browser) -> None:
    """The password stays in its field only where JavaScript keeps the page; it is never sent back."""
    local = pages.door.local
    for javascript in (True, False):
        page = pages.page(browser, java_script_enabled=javascript)
        page.goto("/folders/new")
        page.get_by_label("LDAP query").fill(local.directory.url)
        page.get_by_label("User").fill(local.directory.reader_dn)
        page.locator("summary", has_text="Connection and limits").click()
        page.get_by_label("Encryption").select_option("none")
        for press in ("Browse the directory", "ou=people"):
            if javascript is False or press == "Browse the directory":
                page.get_by_label("Password").fill(local.directory.reader_password)
            page.get_by_role("button", name=press, exact=True).click()
            page.locator("#result table").wait_for()
        page.get_by_role("row", name="ou=Sales").wait_for()
        page.get_by_role("row", name="ou=Sales").get_by_role("button", name="Take as base").click()
        page.locator("#base:visible").wait_for()
        assert page.get_by_label("Base", exact=True).input_value() == f"ou=Sales,ou=people,{local.directory.suffix}"
        assert page.get_by_label("User").input_value() == local.directory.reader_dn
        assert page.get_by_label("Password").input_value() == (local.directory.reader_password if javascript else "")
        assert local.directory.reader_password not in page.content()


def test_an_editor_types_the_password_to_browse(
    console: Console,
    of_bert: int,
    page: Page,
    java_script: bool,  # noqa: FBT001 -- a fixture
) -> None:
    """For each request, or once where JavaScript keeps the field. It is never in an answer, and not stored."""
    local = console.door.local
    password = local.directory.reader_password
    page.goto(f"/folders/{of_bert}/browse")
    field = page.get_by_label(f"Password of {local.directory.reader_dn}")
    assert page.locator(".level").count() == 0
    page.get_by_text("You have not given the password").wait_for()
    field.fill("wrong")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("invalidCredentials").wait_for()
    field.fill(password)
    page.get_by_role("button", name="Show").click()
    page.get_by_role("button", name="ou=people", exact=True).wait_for()
    if not java_script:
        assert field.input_value() == ""
        field.fill(password)
    page.get_by_role("button", name="ou=people", exact=True).click()
    page.get_by_role("button", name="ou=Sales", exact=True).wait_for()
    assert page.get_by_label("Entry").input_value() == f"ou=people,{local.directory.suffix}"
    assert password not in page.content()
    page.get_by_role("row", name="ou=Sales").get_by_role("link", name="Take as base").click()
    assert page.get_by_label("Base", exact=True).input_value() == f"ou=Sales,ou=people,{local.directory.suffix}"
    assert not local.get(f"/v1/definitions/{of_bert}")["password_stored"]


def test_an_editor_types_the_password_for_an_explanation(console: Console, of_bert: int, page: Page) -> None:
    """The page asks for it once the daemon needs it."""
    local = console.door.local
    page.goto(f"/folders/{of_bert}/explain")
    assert page.get_by_label("Password of").count() == 0
    page.get_by_label("Name, email, uid or DN of a person").fill("No Such Person")
    page.get_by_role("button", name="Explain").click()
    field = page.get_by_label(f"Password of {local.directory.reader_dn}")
    field.wait_for()
    assert page.get_by_label("Name, email, uid or DN of a person").input_value() == "No Such Person"
    field.fill(local.directory.reader_password)
    page.get_by_role("button", name="Explain").click()
    page.get_by_text('has no entry like "No Such Person"').wait_for()
    assert local.directory.reader_password not in page.content()
    assert "password" not in page.url


def test_a_refused_password_is_not_sent_by_looking_at_the_page(pages: Console) -> None:
    """A folder that is locked out asks for a password, and says why."""
    local = pages.door.local
    definition_id = local.define("Locked for browse", bind_user=local.directory.limited_dn)
    local.run(definition_id)
    answer = pages.administrator().get(f"/folders/{definition_id}/browse")
    assert 'type="password"' in answer.text
    assert "refused the user" in answer.text
    assert 'class="level"' not in answer.text
    assert "hx-trigger" not in pages.administrator().get(f"/folders/{definition_id}/mapping").text


def test_what_was_typed_before_the_end_of_a_session_is_there_again(console: Console, of_bert: int) -> None:
    """The entry and the person, but not the password."""
    client = console.client()
    for path, name in ((f"/folders/{of_bert}/browse", "base"), (f"/folders/{of_bert}/explain", "who")):
        typed = {name: "ou=typed <b>", "password": "secret words"}
        ended = client.post(path, data=typed)
        assert ended.status_code == 401
        assert "secret words" not in ended.text
        kept = {f"typed.{name}": typed[name]}
        client.post("/sign-in", data={**kept, "name": "bert", "password": PASSWORDS["bert"], "to": path})
        assert 'value="ou=typed &lt;b&gt;"' in client.get(path).text
        client.post("/sign-out")
