"""The picture of the last thirty days on the page of a folder's runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.web import Console
from tests.support.web_scene import Scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WORDS = ["Added", "Changed", "Deleted", "Failed runs", "Held runs", "Seconds"]


def test_each_number_has_words_bars_and_a_text(pages: Console, scene: Scene, browser: Browser) -> None:
    """Failed and held runs are crosses, not bars of another colour. The page needs no JavaScript."""
    page = pages.page(browser, java_script_enabled=False)
    page.goto("/folders/{new}/runs".format(**scene.paths))
    assert page.locator(".lane-words").all_inner_texts() == WORDS
    assert page.get_by_role("img", name="Deleted: 3, most on").count() == 1
    lanes = dict(zip(WORDS, page.locator("svg[role=img]").all(), strict=True))
    marks = {words: (lane.locator("g > rect").count(), lane.locator("path").count()) for words, lane in lanes.items()}
    assert (marks["Failed runs"], marks["Held runs"], marks["Deleted"]) == ((0, 2), (0, 1), (1, 0))
    assert marks["Added"] == (3, 0), "the first run of a folder adds its contacts"
    first, second, _today = (
        float(each.get_attribute("height") or 0) for each in lanes["Added"].locator("g > rect").all()
    )
    assert first == float(lanes["Added"].get_attribute("height") or 0)
    assert 0 < second < 4, "one contact among thousands can be seen"
    assert page.locator("[style], style").count() == 0


def test_the_numbers_are_also_a_table(pages: Console, scene: Scene, browser: Browser) -> None:
    """Newest first, without the days that had no run; older pages of the list have no picture."""
    page = pages.page(browser, java_script_enabled=False)
    path = "/folders/{new}/runs".format(**scene.paths)
    page.goto(path)
    page.get_by_text("As a table").click()
    table = page.get_by_role("table", name="The last thirty days")
    assert table.locator("tbody tr").count() == 6
    assert table.locator("tbody tr").nth(3).locator("td").all_inner_texts() == ["2", "0", "0", "0", "2", "0", "6"]
    page.goto(f"{path}?before=999999")
    assert page.locator("svg[role=img]").count() == 0


@pytest.mark.parametrize("folder", ["never", "paused"])
def test_a_folder_without_runs_has_no_picture(pages: Console, scene: Scene, folder: str) -> None:
    """But the sentence that there has been no run."""
    page = pages.administrator().get(f"/folders/{scene.paths[folder]}/runs").text
    assert "There has been no run yet." in page
    assert "<svg" not in page


def test_days_are_written_in_german(pages: Console, scene: Scene) -> None:
    """As on the other pages."""
    path = "/folders/{new}/runs".format(**scene.paths)
    text = pages.administrator().get(path, headers={"Accept-Language": "de"}).text
    assert "Die letzten dreißig Tage" in text
    assert "heute" in text
