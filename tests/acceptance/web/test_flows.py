"""What people do at the console, step by step; test_every_flow.py has each flow in each way."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from tests.support.web import Console
from tests.support.web_scene import Scene, hold, hold_cleared

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_settings_are_tested_previewed_and_saved_with_the_mouse(pages: Console, browser: Browser) -> None:
    """Test and preview change nothing, and leave the password in its field; a save does what the preview showed."""
    definition_id = pages.door.local.define("Mouse", filter="(l=Berlin)")
    pages.door.local.run(definition_id)
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}")
    page.get_by_role("link", name="LDAP synchronization").click()
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_role("heading", name="The test found no fault").wait_for()
    page.get_by_label("Filter").fill("")
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("heading", name="What a run with these settings would do").wait_for()
    assert page.locator("#result tbody tr").count() == 50
    assert page.locator("#result tbody td").first.inner_text() == "add"
    assert pages.door.local.get(f"/v1/definitions/{definition_id}")["filter"] == "(l=Berlin)"
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert pages.door.local.get(f"/v1/definitions/{definition_id}")["filter"] is None


def test_contacts_are_searched_while_typing(pages: Console, scene: Scene, browser: Browser) -> None:
    """Without regard to accents; the address of the page follows."""
    page = pages.page(browser)
    page.goto("/folders/{staff}".format(**scene.paths))
    page.get_by_label("Name, email, phone or department").press_sequentially("gunther mull")
    page.wait_for_url("**q=gunther+mull*")
    page.get_by_role("link", name="Günther Müller").click()
    assert page.locator("h1").inner_text() == "Günther Müller"


def test_wrong_settings_are_marked_and_kept(pages: Console, scene: Scene, browser: Browser) -> None:
    """The page names the field, keeps what was typed, and never has the password in it."""
    for javascript in (True, False):
        page = pages.page(browser, java_script_enabled=javascript)
        page.goto("/folders/{staff}/settings".format(**scene.paths))
        if not javascript:
            page.locator("summary").first.click()
        else:
            page.get_by_text("Who of them, and when").click()
        page.get_by_label("Filter").fill("((l=Berlin)")
        page.get_by_label("Password").fill("secret words")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("heading", name="Please correct these fields").wait_for()
        field = page.get_by_label("Filter")
        assert (field.get_attribute("aria-invalid"), field.input_value()) == ("true", "((l=Berlin)")
        assert page.get_by_label("Password").input_value() == ""
        assert "secret words" not in page.content()
        page.locator("#summary a").click()
        assert page.url.endswith("#filter")


def test_a_stored_password_is_typed_anew_for_another_server(pages: Console, browser: Browser) -> None:
    """The form marks the field, for a test and a preview as well as for a save."""
    local = pages.door.local
    definition_id = local.define("Sealed", password_ref=None)
    stored = local.http.put(
        f"/v1/definitions/{definition_id}/password", json={"password": local.directory.reader_password}
    )
    assert stored.status_code == 200, stored.text
    page = pages.page(browser)
    for button in ("Test", "Show what would change", "Save"):
        page.goto(f"/folders/{definition_id}/settings")
        page.get_by_label("LDAP query").fill("ldap://elsewhere.example.com")
        page.get_by_role("button", name=button, exact=True).click()
        page.locator("#password[aria-invalid=true]").wait_for()
        assert page.get_by_label("LDAP query").input_value() == "ldap://elsewhere.example.com"


def test_a_held_run_is_approved_with_the_mouse(pages: Console, browser: Browser) -> None:
    """Exactly those who were shown are deleted; the CSV has all of them."""
    local = pages.door.local
    definition_id, run_id = hold(local, "Held for the mouse")
    plan = local.get(f"/v1/runs/{run_id}/plan", action="delete", limit=1000)
    page = pages.page(browser)
    page.goto("/")
    page.get_by_role("row", name="Held for the mouse").get_by_role("link", name="Review the plan").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert {int(row["contact_id"]) for row in rows} == {each["contact_id"] for each in plan["changes"]}
    page.get_by_role("button", name=f"Delete these {plan['deleted']} contacts").click()
    page.wait_for_url(f"**/folders/{definition_id}/progress*")
    page.locator("#run .mark", has_text="changed").wait_for()
    assert local.get(f"/v1/definitions/{definition_id}")["last_outcome"] == "changed"


def test_cleared_fields_are_approved_with_the_mouse(pages: Console, browser: Browser) -> None:
    """The page and the CSV have each contact with the value that it would lose; nobody is deleted."""
    local = pages.door.local
    definition_id, run_id = hold_cleared(local, "Cleared with the mouse")
    plan = local.get(f"/v1/runs/{run_id}/plan", action="clear", limit=1000)
    number = plan["cleared"]["city"]
    assert (plan["deleted"], len(plan["changes"])) == (0, number)
    page = pages.page(browser)
    page.goto("/")
    page.get_by_role("row", name="Cleared with the mouse").get_by_role("link", name="Review the plan").click()
    page.get_by_role("heading", name=f"Run {run_id} would clear fields of {number} contacts").wait_for()
    page.get_by_role("heading", name="Whose fields would be cleared").wait_for()
    city = plan["changes"][0]["fields"]["city"]["before"]
    assert page.get_by_role("row", name=plan["changes"][0]["display_name"]).get_by_text(city).count() == 1
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    lost = {each["contact_id"]: each["fields"]["city"]["before"] for each in plan["changes"]}
    assert {int(row["contact_id"]): row["city"] for row in rows} == lost
    page.get_by_role("button", name="Clear these fields").click()
    page.wait_for_url(f"**/folders/{definition_id}/progress*")
    page.locator("#run .mark", has_text="changed").wait_for()
    (done,) = local.get("/v1/runs", definition_id=definition_id, limit=1)["runs"]
    assert (done["outcome"], done["updated"], done["deleted"]) == ("changed", number, 0)


def test_two_people_decide_about_one_run(pages: Console, browser: Browser) -> None:
    """The second one reads that it is decided, and by whom."""
    _, run_id = hold(pages.door.local, "Held for two")
    first, second = pages.page(browser), pages.page(browser)
    for page in (first, second):
        page.goto(f"/runs/{run_id}")
    first.get_by_role("button", name="Keep them and discard this plan").click()
    first.locator(".mark", has_text="rejected").wait_for()
    second.get_by_role("button", name="Delete these").click()
    second.get_by_role("heading", name="Nothing was decided").wait_for()
    assert second.locator(".mark", has_text="rejected").count() == 1


def test_a_plan_that_a_later_run_overtook_is_not_approved(pages: Console, browser: Browser) -> None:
    """The open page says so and leads to the later run; nobody is deleted."""
    local = pages.door.local
    definition_id, run_id = hold(local, "Held and overtaken")
    before = local.get(f"/v1/definitions/{definition_id}")["contacts"]
    page = pages.page(browser)
    page.goto(f"/runs/{run_id}")
    local.person.execute(
        "UPDATE contactsync.sync_definitions SET filter = '(l=Wien)' WHERE definition_id = %s", [definition_id]
    )
    later = local.run(definition_id)["run_id"]
    page.get_by_role("button", name="Delete these").click()
    page.get_by_role("heading", name="Nothing was decided").wait_for()
    assert page.locator(".mark", has_text="overtaken").count() == 1
    assert page.get_by_role("button", name="Delete these").count() == 0
    page.get_by_role("link", name=f"See run {later}").click()
    page.locator(".mark", has_text="waits for a decision").wait_for()
    assert local.get(f"/v1/definitions/{definition_id}")["contacts"] == before
    same = local.run(definition_id)["run_id"]
    page.reload()
    assert page.get_by_text(f"Run {later} was held for the same reason").count() == 1
    assert page.get_by_role("heading", name=f"Run {same} would delete").count() == 1


def test_who_is_excluded_is_explained_and_the_log_is_searched(pages: Console, browser: Browser) -> None:
    """The log shows only records of the folder."""
    local = pages.door.local
    definition_id = local.define("By mouse", filter="(l=Berlin)")
    local.run(definition_id)
    page = pages.page(browser)
    page.goto(f"/folders/{definition_id}")
    page.get_by_role("link", name="Why is a person here?").click()
    page.get_by_label("Name, email, uid or DN of a person").fill("neu1")
    page.get_by_role("button", name="Explain").click()
    page.locator("#answer", has_text="excludes it").wait_for()
    page.get_by_role("link", name="Daemon").click()
    page.get_by_role("link", name="Log", exact=True).click()
    page.get_by_label("Folder").fill("By mouse")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**folder=By+mouse*")
    rows = page.locator("tbody tr")
    assert rows.count() > 0
    assert rows.filter(has_text="By mouse").count() == rows.count()


def test_settings_are_read_again(pages: Console, browser: Browser) -> None:
    """The page names those that changed, and those that need a restart; others in its address are not shown."""
    door = pages.door
    page = pages.page(browser, java_script_enabled=False)
    page.goto("/settings?read=true&changed=scheduler.workers+Call-555-0100")
    assert page.get_by_role("status").inner_text().endswith("Changed: scheduler.workers")
    try:
        door.settings.write_text("[scheduler]\nrescan_seconds = 61\nworkers = 5\n")
        page.get_by_role("button", name="Read the settings again").click()
        said = page.get_by_role("status").inner_text()
        assert "Changed: scheduler.rescan_seconds" in said
        assert "In force after a restart: scheduler.workers" in said
        assert page.get_by_role("row", name="rescan_seconds").get_by_role("cell").first.inner_text() == "61"
        door.settings.write_text("[scheduler]\nrescan_seconds = 'often'\n")
        page.get_by_role("button", name="Read the settings again").click()
        assert "rescan_seconds" in page.get_by_role("main").inner_text()
        assert page.get_by_role("heading", name="This was not done").count() == 1
    finally:
        door.settings.write_text("")
        door.local.post("/v1/reload")
    page.goto("/settings")
    page.get_by_role("button", name="Read the settings again").click()
    assert page.get_by_role("status").inner_text().endswith("None has changed.")


def test_a_new_folder_is_filled_without_javascript(pages: Console, browser: Browser) -> None:
    """From its settings to its contacts; the preview says what it would bring."""
    local = pages.door.local
    page = pages.page(browser, java_script_enabled=False)

    def fill_in() -> None:
        page.get_by_label("Password").fill(local.directory.reader_password)

    page.goto("/folders/new")
    page.get_by_label("LDAP query").fill(f"{local.directory.url}/{local.directory.suffix}??sub?(l=Berlin)")
    page.get_by_label("User").fill(local.directory.reader_dn)
    page.get_by_label("Name of the folder").fill("Berlin people")
    page.locator("summary", has_text="Connection and limits").click()
    page.get_by_label("Encryption").select_option("none")
    fill_in()
    page.get_by_role("button", name="Show what it would bring").click()
    expected = page.locator("#result tbody tr").count()
    assert expected > 0
    assert page.get_by_label("Name of the folder").input_value() == "Berlin people"
    fill_in()
    page.get_by_role("button", name="Add the folder and start").click()
    page.wait_for_url("**/progress*")
    page.locator("#run .mark", has_text="changed").wait_for()  # the page loads itself again until then
    page.get_by_role("link", name="Contacts", exact=True).click()
    assert page.locator("#list tbody tr").count() == expected
