"""The editor of a mapping: rows and text, people as they would look, what would change, and the save."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from tests.support.accounts import PASSWORDS, Accounts
from tests.support.keyboard import choose, type_into
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

OWN: dict[str, Any] = {
    "fields": {
        "notes": "{title} ({departmentNumber})",
        "emails": {"from": ["mail", "uid"], "policy": "fill"},
        "home_phones": None,
        "websites": {"policy": "insert"},
        "manager": ["secretary", {"attribute": "manager", "as": "rdn"}],
        "extra.badge": "employeeNumber",
        "extra.from": '{{{uid}}}, "quoted"',
        "extra.lines": "{title}\n{l}",
    },
    "include": {"preserved": True},
    "identity": ["entryUUID", "nsUniqueId"],
}
"""Each kind of value that the grammar has."""


class Fields(HTMLParser):
    """The fields of the form with the id `editor`, as a browser without JavaScript sends them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._inside, self._open = False, ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a field."""
        given = {name: value or "" for name, value in attrs}
        self._inside = self._inside or (tag == "form" and given.get("id") == "editor")
        if not self._inside:
            return
        name, is_off = given.get("name", ""), given.get("type") == "checkbox" and "checked" not in given
        if tag == "input" and not is_off:
            self.values.setdefault(name, given.get("value", ""))
        elif tag in {"select", "textarea"}:
            self._open = name
        elif tag == "option" and ("selected" in given or self._open not in self.values):
            self.values[self._open] = given["value"]

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a field."""
        self._inside = self._inside and tag != "form"
        self._open = "" if tag in {"select", "textarea"} else self._open

    def handle_data(self, data: str) -> None:
        """Note the text of a field; the first line break is of the markup."""
        if self._open.endswith(".sources") or self._open == "text":
            self.values[self._open] = data.removeprefix("\n")


def fields_of(text: str) -> dict[str, str]:
    """What the form of a page would send."""
    return Fields(text).values


def mapped(console: Console, name: str, mapping: dict[str, Any] | None = None) -> int:
    """A new folder with a mapping of its own."""
    local = console.door.local
    definition_id = local.define(name, base=f"ou=Sales,ou=people,{local.directory.suffix}")
    answer = local.http.patch(f"/v1/definitions/{definition_id}", json={"mapping": mapping})
    assert answer.is_success, answer.text
    local.run(definition_id)
    return definition_id


def stored(console: Console, definition_id: int) -> dict[str, Any]:
    """The definition as the daemon has it."""
    return dict(console.door.local.get(f"/v1/definitions/{definition_id}"))


def sources(page: Page, name: str) -> Locator:
    """The input with the sources of a field."""
    return page.locator(f"[id='field.{name}.sources']")


def test_people_follow_what_is_typed_and_a_save_does_what_was_shown(pages: Console, browser: Browser) -> None:
    """A mistake is a sentence beside the form, and at the field once it is to be saved; nothing else is lost."""
    definition_id = mapped(pages, "Mapped by mouse")
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}/settings")
    page.get_by_role("link", name="Mapping of fields").click()
    people = page.locator("#people")
    people.locator("li").nth(4).wait_for()
    page.locator("summary", has_text="Work").click()
    sources(page, "department").fill("no such attribute")
    sources(page, "title").fill("{title} of {o}")
    people.get_by_text("is not an attribute description").wait_for()
    page.get_by_role("button", name="Save").click()
    page.locator("[id='field.department.sources'][aria-invalid=true]").wait_for()
    assert sources(page, "department").input_value() == "no such attribute"
    assert sources(page, "title").input_value() == "{title} of {o}"
    assert page.locator("#summary a").get_attribute("href") == "#field.department.sources"
    sources(page, "department").fill("")
    sources(page, "department").blur()
    people.get_by_text(" of Example Trading plc").first.wait_for()
    assert stored(pages, definition_id)["mapping"] is None
    page.get_by_role("button", name="Show what would change").click()
    page.locator("#result .diff", has_text=" of Example Trading plc").first.wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert stored(pages, definition_id)["mapping"] == {"fields": {"title": "{title} of {o}"}}
    pages.door.local.run(definition_id)
    contacts = pages.door.local.get(f"/v1/folders/{stored(pages, definition_id)['folder_id']}/contacts")["contacts"]
    titles = [contact["title"] for contact in contacts if contact["title"]]
    assert titles
    assert all("of" in title.split() for title in titles)


def test_rows_show_all_that_a_mapping_has_and_lose_nothing(pages: Console) -> None:
    """Also in a browser without JavaScript: a save of rows that nobody touched is no edit; text has the same."""
    definition_id = mapped(pages, "Everything mapped", OWN)
    client, path = pages.administrator(), f"/folders/{definition_id}/mapping"
    before = stored(pages, definition_id)
    form = fields_of(client.get(path).text)
    assert form["field.emails.sources"].split() == ["mail", "uid"]
    assert form["field.manager.sources"] == "secretary\nmanager as rdn"
    assert client.post(path, data=form | {"do": "save"}).status_code == 303
    assert stored(pages, definition_id)["revision"] == before["revision"]
    as_text = fields_of(client.post(path, data=form | {"do": "text"}).text)
    assert client.post(path, data=as_text | {"do": "save"}).status_code == 303
    assert stored(pages, definition_id)["mapping"] == OWN
    in_rows = fields_of(client.post(path, data=as_text | {"do": "rows"}).text)
    assert in_rows == form
    emptied = {name: "" for name in form if name.endswith(".sources")}
    policies = {name: "directory" for name in form if name.endswith(".policy")}
    others = {"identity": "", "include.preserved": "false"}
    answer = client.post(path, data=form | emptied | policies | others | {"do": "save"})
    assert answer.status_code == 303, answer.text
    assert stored(pages, definition_id)["mapping"] is None


def test_text_that_is_no_mapping_is_marked_and_kept(pages: Console, browser: Browser) -> None:
    """With the place of the mistake; rows cannot show every text, and say so."""
    definition_id = mapped(pages, "Mapped by text")
    page = pages.page(browser, java_script_enabled=False)
    page.goto(f"/folders/{definition_id}/mapping")
    page.get_by_role("button", name="Edit as text").click()
    for text, sentence in (
        ('{"fields": ', "This is not valid JSON. (1:12)"),
        ("[]", "A mapping is a JSON object in braces."),
        ('{"fields": {"notes": {"from": "info", "policy": "sometimes"}}}', "sometimes"),
        ('{"colour": "red"}', "has the unknown key"),
    ):
        page.get_by_label("Mapping as text").fill(text)
        page.get_by_role("button", name="Save").click()
        assert page.get_by_label("Mapping as text").input_value() == text
        assert sentence in page.locator("#text-error").inner_text()
    page.get_by_role("button", name="Edit in rows").click()
    assert "cannot be shown in rows" in page.locator("#text-error").inner_text()
    page.get_by_label("Mapping as text").fill('{"fields": {"notes": "title", "extra.shoe": "employeeNumber"}}')
    page.get_by_role("button", name="Show five people").click()
    assert page.locator("#people li").count() == 5
    assert page.locator("#people dt", has_text="shoe").count() == 5
    page.get_by_role("button", name="Edit in rows").click()
    assert page.locator("[id='field.notes.sources']").input_value() == "title"
    assert page.locator("[id='extra.0.name']").input_value() == "shoe"
    page.locator("[id='extra.1.sources']").fill("uid")
    page.get_by_role("button", name="Save").click()
    assert page.locator("[id='extra.1.sources'][aria-invalid=true]").count() == 1
    page.locator("[id='extra.1.name']").fill("user")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    fields = {"notes": "title", "extra.shoe": "employeeNumber", "extra.user": "uid"}
    assert stored(pages, definition_id)["mapping"] == {"fields": fields}


def test_each_mistake_is_marked_at_its_row(pages: Console, browser: Browser) -> None:
    """All at once, and what was typed stays; as text they are all named too."""
    definition_id = mapped(pages, "Mapped with mistakes")
    page = pages.page(browser, java_script_enabled=False)
    page.goto(f"/folders/{definition_id}/mapping")
    page.locator("summary").evaluate_all("all => all.forEach(each => each.parentElement.open = true)")
    wrong = {"field.title.sources": "no attribute!", "field.city.sources": "l as nothing", "extra.0.sources": "{sn"}
    for name, text in wrong.items():
        page.locator(f"[id='{name}']").fill(text)
    page.locator("[id='extra.0.name']").fill("shoe")
    page.locator("#identity").fill("dn, uid")
    page.get_by_role("button", name="Save").click()
    assert {each.get_attribute("id") for each in page.locator("[aria-invalid=true]").all()} == {*wrong, "identity"}
    assert page.locator("#summary a").count() == 4
    for name, text in wrong.items():
        assert page.locator(f"[id='{name}']").input_value() == text
        assert page.locator(f"[id='{name}']").is_visible()
    page.goto(f"/folders/{definition_id}/mapping")
    page.get_by_role("button", name="Edit as text").click()
    page.get_by_label("Mapping as text").fill('{"identity": [], "fields": {"notes": "?", "hat": "cn"}}')
    page.get_by_role("button", name="Save").click()
    said = page.locator("#text-error").inner_text()
    assert all(words in said for words in ("names no attribute", "fields.notes", "not a field of a contact"))
    assert stored(pages, definition_id)["mapping"] is None


def test_a_mapping_is_edited_with_the_keyboard(pages: Console, browser: Browser) -> None:
    """From the tab to the save."""
    definition_id = mapped(pages, "Mapped by keyboard")
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}/mapping")
    type_into(page, "Nickname", "givenName")
    page.keyboard.press("Tab")
    page.locator("#people dt", has_text="Nickname").first.wait_for()
    page.keyboard.type("in a new")
    choose(page, "Save")
    page.get_by_text("Saved.").wait_for()
    assert stored(pages, definition_id)["mapping"] == {
        "fields": {"nickname": {"from": "givenName", "policy": "insert"}}
    }


def test_an_editor_needs_the_setting(console: Console, accounts: Accounts) -> None:
    """Without `editors_map` there is neither the link nor the page."""
    assert accounts.dn("bert")
    definition_id = mapped(console, "Mapped by nobody")
    console.door.give(definition_id, {"who": "bert", "right": "edit"})
    client = console.person("bert")
    assert "/mapping" not in client.get(f"/folders/{definition_id}/settings").text
    assert client.get(f"/folders/{definition_id}/mapping").status_code == 403
    assert client.post(f"/folders/{definition_id}/mapping", data={"do": "sample"}).status_code == 403


def test_rows_that_were_typed_before_the_end_of_a_session_are_there_again(console: Console, accounts: Accounts) -> None:
    """Once, after the next sign-in."""
    assert accounts.dn("anna")
    path = f"/folders/{console.door.local.staff}/mapping"
    client = console.client()
    typed = {"field.notes.sources": "{typed} <b>", "field.notes.policy": "fill", "do": "save"}
    assert client.post(path, data=typed).status_code == 401
    kept = {f"typed.{name}": value for name, value in typed.items()}
    client.post("/sign-in", data={**kept, "name": "anna", "password": PASSWORDS["anna"], "to": path})
    first, second = fields_of(client.get(path).text), fields_of(client.get(path).text)
    assert (first["field.notes.sources"], first["field.notes.policy"]) == ("{typed} <b>", "fill")
    assert second.get("field.notes.sources", "") == ""
