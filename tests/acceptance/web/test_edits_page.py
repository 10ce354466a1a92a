"""Who changed the filter, and when: the page with the edits of a definition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.accounts import Accounts
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PASSWORD = "zu geheim, um es zu zeigen"


def test_edits_name_person_place_and_each_field_before_and_after(pages: Console, browser: Browser) -> None:
    """Newest first, also of single keys of the mapping. A password is only given anew. It needs no JavaScript."""
    local = pages.door.local
    definition_id = local.define("Edited", filter="(l=Berlin)", schedule="every 1d")
    client = pages.administrator()
    path = f"/folders/{definition_id}/settings"
    assert client.post(path, data={"do": "save", "filter": "(l=Rome)", "schedule": "manual"}).status_code == 303
    assert client.post(path, data={"do": "save", "password": PASSWORD}).status_code == 303
    for title in ("{title}", "{title}, {l}"):
        mapping = {"fields": {"title": title, "notes": "{description}"}}
        assert local.http.patch(f"/v1/definitions/{definition_id}", json={"mapping": mapping}).is_success
    page = pages.page(browser, java_script_enabled=False)
    page.goto(f"/folders/{definition_id}")
    page.get_by_role("link", name="Edits", exact=True).click()
    rows = [re.sub(r"\s+", " ", row) for row in page.locator("tbody tr").all_text_contents()]
    assert [word for row in rows for word in ("added", "password given anew", "edited") if f" {word} " in row] == [
        "edited", "edited", "password given anew", "edited", "edited", "added",
    ]  # fmt: skip
    assert "Mapping fields titlebefore: {title} after: {title}, {l}" in rows[0]
    assert "notes" not in rows[0]
    assert "by the API" in rows[0]
    edited = next(row for row in rows if "(l=Rome)" in row and "edited" in row)
    assert "at the web console, from 127.0.0.1" in edited
    assert "Filterbefore: (l=Berlin) after: (l=Rome)" in edited
    assert "Schedulebefore: every 1d after: manual" in edited
    assert PASSWORD not in page.content()
    german = client.get(f"/folders/{definition_id}/edits", headers={"Accept-Language": "de"}).text
    assert "Passwort neu angegeben" in german


def test_edits_are_for_those_who_may_edit(console: Console, accounts: Accounts) -> None:
    """A viewer has neither the page nor the link to it."""
    assert accounts.dn("bert")
    definition_id = console.door.local.define("Edited by few")
    path = f"/folders/{definition_id}/edits"
    client = console.person("bert")
    assert client.get(path).status_code == 403
    assert path not in client.get(f"/folders/{definition_id}").text
    console.door.give(definition_id, {"who": "bert", "right": "edit"})
    assert client.get(path).status_code == 200
    assert path in client.get(f"/folders/{definition_id}").text
