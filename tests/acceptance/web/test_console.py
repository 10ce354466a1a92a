"""The console as a process: sign in by a link, its pages without a daemon, and its start and end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.support.web import Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@contextmanager
def other_site(host: str, body: str) -> Iterator[str]:
    """Serve one page under another name or port, and give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


def test_only_users_of_the_control_socket_make_links(console: Console) -> None:
    """No person at the console, and no process there may; and nobody redeems a code in the name of a person."""
    door = console.door
    for person in ("root", "anna"):
        assert door.ask(person, "POST", "/v1/console/sign-in-codes").status_code == 403
        assert door.ask(person, "POST", "/v1/console/sign-in-codes/redeem", json={"code": "x"}).status_code == 403
    assert door.http.post("/v1/console/sign-in-codes").status_code == 400


def test_the_process_has_no_secret_of_the_daemon(console: Console) -> None:
    """It has opened neither the key nor a connection to the database, and its environment names none."""
    process = Path(f"/proc/{console.process.pid}")
    files = {str(link.readlink()) for link in (process / "fd").iterdir() if link.is_symlink()}
    assert not [name for name in files if "secret.key" in name or "postgres" in name.lower()]
    assert "psycopg_pool" not in (process / "maps").read_text()
    assert not [line for line in (process / "environ").read_text().split("\0") if "DATABASE__URL=p" in line]


def test_a_form_of_another_site_does_nothing(console: Console, browser: Browser) -> None:
    """A real browser says where it comes from, also for another port of this machine."""
    page = console.page(browser)
    for host in ("localhost", "127.0.0.1"):
        with other_site(
            host, f'<form method="post" action="{console.url}/sign-out"><button>Win</button></form>'
        ) as url:
            page.goto(url)
            with page.expect_response(f"{console.url}/sign-out") as answer:
                page.get_by_role("button").click()
            assert answer.value.status == 403
    page.goto("/")
    assert page.url == f"{console.url}/"
    console.complaints.clear()


def test_the_language_is_the_browsers_until_a_person_chooses_another(console: Console, browser: Browser) -> None:
    """The browser keeps the choice, and comes back to its page."""
    page = console.page(browser, signed_in=False, locale="de-AT")
    page.goto("/sign-in?to=/runs")
    assert page.get_by_role("heading", level=1).inner_text() == "Anmelden"
    assert page.locator("html").get_attribute("lang") == "de"
    page.get_by_role("button", name="English").click()
    page.wait_for_url(f"{console.url}/sign-in?to=/runs")
    assert page.get_by_role("heading", level=1).inner_text() == "Sign in"
    page.reload()
    assert page.locator("html").get_attribute("lang") == "en"


def test_health_is_for_the_web_server_in_front(console: Console) -> None:
    """It needs no session."""
    answer = console.client().get("/health")
    assert (answer.status_code, answer.json()["healthy"]) == (200, True)
