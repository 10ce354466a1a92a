"""The console as a process: sign in by a link, its pages without a daemon, and its start and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_link_signs_in_once(console: Console) -> None:
    """The page at the link does not use it up; its button does."""
    link, client = console.link(), console.client()
    assert client.get(link).status_code == client.get(link).status_code == 200
    signed_in = client.post(link)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")
    assert client.get("/").status_code == 200
    again = console.client().post(link)
    assert again.status_code == 403
    assert "The link is not valid" in again.text


def test_every_page_but_the_sign_in_needs_a_session(console: Console) -> None:
    """And the browser comes back to the page afterwards."""
    client = console.client()
    answer = client.get("/?q=Staff&state=held")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?to=%2F%3Fq%3DStaff%26state%3Dheld"
    assert client.get("/sign-in").status_code == 200


def test_an_administrator_signs_in_and_out_in_a_browser(console: Console, browser: Browser) -> None:
    """With two clicks; afterwards the session is gone on the server too."""
    page = console.page(browser)
    cookies = {str(each["name"]): str(each["value"]) for each in page.context.cookies()}
    assert page.title().endswith("contactsync")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{console.url}/sign-in")
    assert httpx.get(f"{console.url}/", cookies=cookies).status_code == 303


def test_health_is_for_the_web_server_in_front(console: Console) -> None:
    """It needs no session."""
    answer = console.client().get("/health")
    assert (answer.status_code, answer.json()["healthy"]) == (200, True)
