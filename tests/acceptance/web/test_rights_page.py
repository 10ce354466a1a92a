"""The page of rights, and what people without all rights see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from tests.support.accounts import PASSWORDS, Accounts
from tests.support.waiting import PATIENCE
from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_rights_are_given_and_taken_away(pages: Console, browser: Browser) -> None:
    """With and without JavaScript; a name that cannot be one is marked."""
    local = pages.door.local
    definition_id = local.define("Shared with few")
    folder_id = local.get(f"/v1/definitions/{definition_id}")["folder_id"]
    too_long = pages.administrator().post(f"/folders/{definition_id}/rights", data={"who": "w" * 257, "do": "add"})
    assert (too_long.status_code, "at most 256 characters" in too_long.text) == (422, True)
    page = pages.page(browser, java_script_enabled=False)
    page.goto(f"/folders/{definition_id}")
    page.get_by_role("link", name="Rights", exact=True).click()
    page.get_by_role("button", name="Give the right").click()
    assert page.get_by_label("Name").get_attribute("aria-invalid") == "true"
    page.get_by_label("Name").fill("editors")
    page.get_by_label("Kind").select_option("group")
    page.get_by_label("Right", exact=True).select_option("edit")
    page.get_by_role("button", name="Give the right").click()
    page.get_by_role("row", name="editors").wait_for()
    right = {"who": "editors", "is_group": True, "right": "edit"}
    assert local.get(f"/v1/folders/{folder_id}/rights")["rights"] == [right]
    page.get_by_role("button", name="Take the right of editors away").click()
    page.get_by_role("row", name="editors").wait_for(state="detached")
    assert local.get(f"/v1/folders/{folder_id}/rights")["rights"] == []


def test_a_right_that_was_typed_before_the_end_of_a_session_is_in_the_form_again(console: Console) -> None:
    """As on the other pages with a form."""
    path = f"/folders/{console.door.local.staff}/rights"
    client = console.client()
    typed = {"who": "editors <b>", "kind": "group", "right": "edit", "do": "add"}
    assert client.post(path, data=typed).status_code == 401
    kept = {f"typed.{name}": value for name, value in typed.items()}
    client.post("/sign-in", data={**kept, "name": "anna", "password": PASSWORDS["anna"], "to": path})
    first, second = client.get(path).text, client.get(path).text
    assert 'value="editors &lt;b&gt;"' in first
    assert '<option value="edit" selected>' in first
    assert "editors" not in second


def test_a_viewer_sees_contacts_and_no_forms(console: Console, accounts: Accounts) -> None:
    """What the pages do not offer, the daemon refuses."""
    assert accounts.dn("bert")
    local, client = console.door.local, console.client()
    signed_in = client.post("/sign-in", data={"name": "bert", "password": PASSWORDS["bert"]})
    assert signed_in.status_code == 303, signed_in.text
    staff, folder = local.staff, f"/folders/{local.staff}"
    folder_id = local.get(f"/v1/definitions/{staff}")["folder_id"]
    contact = local.get(f"/v1/folders/{folder_id}/contacts", limit=1)["contacts"][0]["contact_id"]
    run = local.get("/v1/runs", definition_id=staff, limit=1)["runs"][0]["run_id"]
    for path in (
        "/",
        "/folders",
        folder,
        f"{folder}/changes",
        f"{folder}/runs",
        f"{folder}/progress",
        "/runs",
        f"/runs/{run}",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert "<form" in answer.text  # to sign out
        for word in ("Synchronize now", "LDAP synchronization", "Rights", "Undo"):
            assert word not in answer.text, path
    shown = client.get(f"/contacts/{folder_id}/{contact}")
    assert shown.status_code == 200
    assert "ou=people" not in shown.text
    for path in ("/audit", "/log", "/settings", f"{folder}/rights"):
        assert client.get(path).status_code == 403, path
    with client.stream("GET", f"{folder}/live", params={"after": run}) as stream:
        messages = stream.iter_lines()
        next(messages)
        local.run(staff)
        ended = "\n".join(messages)
    assert ended.count("Seconds") >= 1
    assert "Server" not in ended
    assert client.post(f"{folder}/sync").status_code == 403
    assert client.post(f"{folder}/settings", data={"do": "save", "filter": "(l=Berlin)"}).status_code == 403


def test_progress_ends_with_the_session_and_with_the_right(console: Console, accounts: Accounts) -> None:
    """Also while the run waits: the page, which is then loaded again, says why."""
    assert accounts.dn("bert")
    local = console.door.local
    rights = f"/v1/folders/{local.get(f'/v1/definitions/{local.staff}')['folder_id']}/rights"
    narrowed = [{"who": "carla", "is_group": False, "right": "view"}]
    (run,) = local.get("/v1/runs", definition_id=local.staff, limit=1)["runs"]
    path = f"/folders/{local.staff}/live"

    def expect_end(client: httpx.Client, end: Callable[[], httpx.Response]) -> None:
        client.post("/sign-in", data={"name": "bert", "password": PASSWORDS["bert"]})
        with client.stream("GET", path, params={"after": run["run_id"]}, timeout=PATIENCE) as stream:
            lines = stream.iter_lines()
            assert "Waiting" in next(lines) + next(lines) + next(lines)
            assert end().status_code < 400
            assert "".join(lines).endswith("event: finisheddata: -")

    client = console.client()
    expect_end(client, lambda: client.post("/sign-out"))
    expect_end(client, lambda: local.http.put(rights, json={"rights": narrowed}))
    assert client.get(path).status_code == 404
    assert local.http.put(rights, json={"rights": []}).is_success
