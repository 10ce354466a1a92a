"""Sign-in by an OpenID provider, in a browser: there and back, roles, refusals, the end of a session."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.glewlwyd import PASSWORD, Glewlwyd, why_not
from tests.support.hands import Hands, Keyboard, Mouse
from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.resources import short_directory
from tests.support.web import SAME_SITE, Console, another_view, web_console
from tests.support.web_door import WebDoor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
AXE = Path(__file__).with_name("vendor") / "axe-4.14.1.min.js"


@pytest.fixture(scope="module")
def provider() -> Iterator[Glewlwyd]:
    """Start a provider."""
    with short_directory() as place, Glewlwyd(place / "provider") as provider:
        yield provider


@pytest.fixture(scope="module")
def _console(door: WebDoor, provider: Glewlwyd) -> Iterator[Console]:
    with short_directory() as place, web_console(door, place / "web", **provider.settings()) as console:
        provider.add_client(console.url)
        yield console


@pytest.fixture
def console(_console: Console) -> Iterator[Console]:
    """Give a console whose people sign in at the provider; its clients and pages end with the test."""
    view = another_view(_console)
    yield view
    view.close()


def go(client: httpx.Client, provider: Glewlwyd, name: str, to: str = "/") -> httpx.Response:
    """The answer to the browser of a person whom the provider has sent back."""
    there = client.get("/sign-in/oidc", params={"to": to})
    assert there.status_code == 303, there.text
    return client.get(provider.send_back(name, there.headers["location"]))


def alert(answer: httpx.Response) -> str:
    """The sentence of a page that refuses a sign-in."""
    assert "contactsync=" not in answer.headers.get("set-cookie", "")
    (sentence,) = re.findall(r'role="alert"[^>]*>\s*<p>([^<]+)', answer.text)
    return html.unescape(sentence)


@pytest.mark.parametrize("hands", [Mouse(), Keyboard()], ids=["mouse", "keyboard"])
def test_a_person_signs_in_at_the_provider_and_out_again(
    console: Console, provider: Glewlwyd, browser: Browser, hands: Hands
) -> None:
    """By a link, to the page that was wanted; the password is typed at the provider only."""
    page = console.page(browser, signed_in=False, ignore_https_errors=True)
    page.context.add_init_script(path=AXE)
    page.goto("/runs")
    assert page.evaluate("async () => (await axe.run()).violations.map(each => each.id)") == []
    assert not console.complaints
    hands.press(page, "Sign in at localhost")
    page.wait_for_url(f"{provider.url}/**")
    page.locator("#username").fill("anna")
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{console.url}/runs")
    assert page.get_by_role("link", name="Daemon").is_visible()
    (session,) = [each for each in page.context.cookies() if each["name"] == "contactsync"]
    assert (session["httpOnly"], session["sameSite"]) == (True, "Lax")
    assert not [each for each in page.context.cookies() if each["name"] == "contactsync-oidc"]
    hands.press(page, "Sign out")
    page.wait_for_url(f"{console.url}/sign-in")
    page.goto("/runs")
    assert page.url.startswith(f"{console.url}/sign-in")
    page.goto("/sign-in/oidc/back?code=x&state=y")
    assert "not begun in this browser" in page.get_by_role("alert").inner_text()


def test_groups_of_the_provider_are_roles(console: Console, provider: Glewlwyd) -> None:
    """Administrators see the daemon's pages; a person in no group reads why, with the name of the account."""
    anna, bert, carla = (console.client() for _ in range(3))
    assert go(anna, provider, "anna", "/audit").headers["location"] == "/audit"
    assert anna.get("/audit").status_code == 200
    assert go(bert, provider, "bert").status_code == 303
    assert bert.get("/audit").status_code == 403
    refused = go(carla, provider, "carla")
    assert (refused.status_code, "carla" in alert(refused)) == (403, True)
    assert carla.get("/").status_code == 303
    assert console.process.wait_for_event("web.sign_in_refused", how="oidc", error_code="oidc.in_no_group")
    assert console.process.wait_for_event("web.signed_in", how="oidc", user="anna", admin=True)


def test_only_a_sign_in_that_this_browser_began_is_finished(console: Console, provider: Glewlwyd) -> None:
    """Else a person would use the account of somebody who sent a link."""
    attacker, person = console.client(), console.client()
    there = attacker.get("/sign-in/oidc").headers["location"]
    back = provider.send_back("bert", there)
    for client in (person, console.client(headers=SAME_SITE | {"Cookie": "contactsync-oidc=x"})):
        answer = client.get(back)
        assert (answer.status_code, "not begun in this browser" in alert(answer)) == (400, True)
    person.get("/sign-in/oidc")
    assert person.get(back).status_code == 400


def test_what_the_provider_refuses_and_that_it_is_away_is_said(console: Console, provider: Glewlwyd) -> None:
    """In the language of the browser, on a page where the person can begin again."""
    client = console.client(headers=SAME_SITE | {"Accept-Language": "de"})
    there = client.get("/sign-in/oidc?to=/runs").headers["location"]
    state = re.findall(r"state=([^&]+)", there)[0]
    query = {"state": state, "error": "access_denied", "iss": provider.issuer}
    answer = client.get("/sign-in/oidc/back", params=query)
    assert (answer.status_code, "abgelehnt" in alert(answer)) == (403, True)
    assert 'href="/sign-in/oidc?to=/runs"' in answer.text
    answer = client.get("/sign-in/oidc/back", params=query | {"iss": "https://evil.example.com"})
    assert (answer.status_code, "oidc_issuer" in alert(answer)) == (503, True)
    provider.stop()
    try:
        back = client.get("/sign-in/oidc/back", params={"state": state, "code": "x", "iss": provider.issuer})
        assert (back.status_code, "antwortet nicht" in alert(back)) == (503, True)
        assert console.process.wait_for_event("web.provider_failed", error_code="oidc.provider_away")
    finally:
        provider.start()


def test_what_was_typed_is_kept_over_the_way_to_the_provider(console: Console, provider: Glewlwyd) -> None:
    """In a cookie that only the console can read, without passwords, for the same form and no other."""
    path = f"/folders/{console.door.local.define('Kept at the provider')}/settings"
    client = console.client(headers=SAME_SITE | {"Referer": f"{console.url}{path}"})
    typed = {"query": "ldaps://kept.example.com", "password": "secret words", "do": "save"}
    answer = client.post(path, data=typed)
    assert answer.status_code == 401
    assert "kept.example.com" not in client.cookies["contactsync-typed"]
    other = f"/folders/{console.door.local.define('Another form')}/settings"
    assert go(client, provider, "anna", other).status_code == 303
    assert "contactsync-typed" not in client.cookies
    assert "kept.example.com" not in client.get(other).text
    client.post("/sign-out")
    answer = client.post(path, data=typed)
    (to,) = re.findall(r'href="/sign-in/oidc\?to=([^"]+)"', answer.text)
    assert go(client, provider, "anna", to).headers["location"] == path
    assert "contactsync-typed" not in client.cookies
    first, second = client.get(path).text, client.get(path).text
    assert ("kept.example.com" in first, "secret words" in first, "kept.example.com" in second) == (True, False, False)


def test_the_extra_is_not_installed(door: WebDoor, provider: Glewlwyd, short_path: Path) -> None:
    """The console does not start, and says what to install."""
    (short_path / "sitecustomize.py").write_text("import sys; sys.modules['authlib'] = None\n", encoding="utf-8")
    settings = provider.settings() | {"PYTHONPATH": str(short_path), "CONTACTSYNC_WEB__LISTEN": "127.0.0.1:1"}
    process = DaemonProcess("", short_path, CONTACTSYNC_WEB__SOCKET=str(door.path), **settings)
    process.launch(str(CONTACTSYNC), "web")
    assert process.wait() == 64
    assert "pip install 'contactsync[oidc]'" in process.text()


def test_twenty_wrong_codes_of_an_address_are_refused(console: Console, provider: Glewlwyd) -> None:
    """The provider is not asked any more. This is the last test, because the address is locked then."""
    client = console.client()
    there = client.get("/sign-in/oidc").headers["location"]
    query = {"state": re.findall(r"state=([^&]+)", there)[0], "code": "x", "iss": provider.issuer}
    codes = [client.get("/sign-in/oidc/back", params=query).status_code for _ in range(21)]
    assert codes == [400] * 20 + [429]
