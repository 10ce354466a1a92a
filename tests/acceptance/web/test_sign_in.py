"""Sign-in with a password of the directory, and by a web server in front of the console."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

import httpx
import pytest

from contactsync.errors import SettingsError
from contactsync.settings.sign_in import SignIn
from contactsync.web.signin.proxy import ProxySignIn
from tests.support.accounts import PASSWORDS, Accounts
from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.waiting import PATIENCE, wait_until
from tests.support.web import SAME_SITE, Console, web_console
from tests.support.web_door import WebDoor

WRONG = "The user name or the password is wrong, or you may not sign in here."


def refusal(client: httpx.Client, name: str, password: str, status: int = 403) -> str:
    """The sentence of the page that refuses a sign-in."""
    response = client.post("/sign-in", data={"name": name, "password": password})
    assert response.status_code == status, response.text
    assert "set-cookie" not in response.headers
    (sentence,) = re.findall(r'role="alert"[^>]*>\s*(?:<[^>]*>)*([^<]+)', response.text)
    return str(sentence).strip()


def test_people_sign_in_with_the_password_of_the_directory(console: Console) -> None:
    """Under the name that the directory has, and come to the page that they wanted."""
    typed = {"name": "  JÖRG ", "password": PASSWORDS["jörg"], "to": "/?x=1"}
    answer = console.client().post("/sign-in", data=typed)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?x=1")
    assert not console.process.wait_for_event("web.signed_in", how="directory", user="jörg")[-1]["admin"]
    assert console.person("anna").get("/").status_code == 200
    assert console.process.wait_for_event("web.signed_in", how="directory", user="anna")[-1]["admin"]


def test_five_wrong_passwords_lock_a_name_and_no_other(door: WebDoor, accounts: Accounts, short_path: Path) -> None:
    """Also for the right password, for fifteen minutes. What is wrong is not said, nor logged what was typed."""
    with web_console(door, short_path / "web", **accounts.settings()) as console:
        client = console.client()
        assert [refusal(client, "anna", "wrong-one") for _ in range(5)] == [WRONG] * 5
        assert "15 minutes" in refusal(client, "Anna", PASSWORDS["anna"], status=429)
        console.person("jörg")
        assert {refusal(client, f"nobody-{number}", "") for number in range(15)} == {WRONG}
        assert "minutes" in refusal(client, "bert", PASSWORDS["bert"], status=429)
        text = console.process.text()
        assert "wrong-one" not in text
        assert PASSWORDS["jörg"] not in text


def test_a_form_that_was_sent_after_the_end_of_a_session_has_its_texts_again(console: Console) -> None:
    """Also over a wrong password; the form's own password is not kept."""
    local = console.door.local
    path = f"/folders/{local.define('Kept')}/settings"
    client = console.client(headers=SAME_SITE | {"Referer": f"{console.url}{path}"})
    typed = {
        "query": "ldaps://kept.example.com",
        "filter": '(sn="><script>*)',
        "password": "secret words",
        "do": "save",
    }
    answer = client.post(path, data=typed)
    for password, status in (("wrong-one", 403), (PASSWORDS["anna"], 303)):
        assert "secret words" not in answer.text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text)
        fields = {name: html.unescape(value) for name, value in hidden}
        answer = client.post("/sign-in", data={**fields, "name": "anna", "password": password})
        assert answer.status_code == status
    assert answer.headers["location"] == path
    first, second = client.get(path).text, client.get(path).text
    assert html.escape(typed["filter"], quote=False).replace('"', "&#34;") in first
    assert typed["query"] in first
    assert "<script>*" not in first
    assert typed["query"] not in second


def proxied(path: Path, **headers: str) -> httpx.Client:
    """A web server's client at the console's Unix socket."""
    transport = httpx.HTTPTransport(uds=str(path))
    return httpx.Client(transport=transport, base_url="http://localhost", headers=SAME_SITE | headers, timeout=PATIENCE)


def proxy_settings(path: Path, user: int, **more: str) -> dict[str, str]:
    """The settings of a console behind a web server with this user."""
    sign_in = {"PROXY_USER": str(user), "PROXY_HEADER": "Remote-User", "PROXY_GROUPS_HEADER": "Remote-Groups", **more}
    return {
        "CONTACTSYNC_WEB__LISTEN": str(path),
        "CONTACTSYNC_SIGN_IN__ADMINISTRATORS": "console-admins",
        **{f"CONTACTSYNC_SIGN_IN__{name}": value for name, value in sign_in.items()},
    }


def behind(door: WebDoor, place: Path, user: int) -> tuple[DaemonProcess, Path]:
    """A console at a Unix socket."""
    path = place / "console.sock"
    process = DaemonProcess("", place, CONTACTSYNC_WEB__SOCKET=str(door.path), **proxy_settings(path, user))
    process.launch(str(CONTACTSYNC), "web")
    process.wait_for_event("web.listening")
    wait_until(path.exists, process.text)
    return process, path


def test_a_web_server_without_a_user_is_refused_by_the_name_of_the_setting() -> None:
    """The console does not start with a setting that has no meaning."""
    with pytest.raises(SettingsError, match=r"\[sign_in\] proxy_user"):
        ProxySignIn(SignIn(proxy_user="no-such-user", proxy_header="Remote-User"))


def test_a_web_server_in_front_signs_people_in(door: WebDoor, short_path: Path) -> None:
    """By its user at the Unix socket; a session ends when the web server names another person."""
    process, path = behind(door, short_path, os.geteuid())
    try:
        with proxied(path, **{"Remote-User": "anna", "Remote-Groups": "x; console-admins"}) as client:
            answer = client.get("/sign-in")
            assert answer.status_code == 303
            assert client.get("/").status_code == 200
            assert process.wait_for_event("web.signed_in", how="proxy", user="anna")[-1]["admin"]
            client.headers["Remote-User"] = "bert"
            assert client.get("/").status_code == 303
        with proxied(path, **{"X-Forwarded-For": "203.0.113.9, 192.0.2.7", "Remote-User": "carla"}) as client:
            client.get("/sign-in")
            assert process.wait_for_event("web.signed_in", user="carla", address="192.0.2.7", admin=False)
        with proxied(path) as client:
            assert client.get("/sign-in").status_code == 200
    finally:
        process.end()


def test_another_user_of_the_machine_is_not_believed(door: WebDoor, short_path: Path) -> None:
    """Even if the process may connect to the socket."""
    process, path = behind(door, short_path, 54_321)
    try:
        with proxied(path, **{"Remote-User": "anna"}) as client:
            assert client.get("/sign-in").status_code == 200
    finally:
        process.end()


def test_the_header_of_a_web_server_is_not_believed_over_tcp(door: WebDoor, short_path: Path) -> None:
    """Any process of the machine could send it."""
    settings = proxy_settings(short_path, os.geteuid())
    del settings["CONTACTSYNC_WEB__LISTEN"]
    with web_console(door, short_path / "web", **settings) as console:
        assert console.client(headers=SAME_SITE | {"Remote-User": "anna"}).get("/sign-in").status_code == 200
