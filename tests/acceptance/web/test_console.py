"""The console as a process: sign in by a link, its pages without a daemon, and its start and end."""

from __future__ import annotations

import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from contactsync.testing.certificates import make_certificates
from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.resources import database_of
from tests.support.waiting import PATIENCE
from tests.support.web import SAME_SITE, Console, web_console
from tests.support.web_door import WebDoor, web_door

if TYPE_CHECKING:
    from playwright.sync_api import Browser


HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What a service manager does between fork and exec (sd_listen_fds(3))."""


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
    assert (answer.status_code, answer.json()) == (200, {"healthy": True})


def test_a_run_that_has_just_ended_is_shown_when_it_is_cancelled(console: Console) -> None:
    """A folder that is not there is still not found."""
    client = console.administrator()
    for definition_id, status in ((console.door.local.staff, 200), (999_999, 404)):
        answer = client.post(f"/folders/{definition_id}/cancel", follow_redirects=True)
        assert (answer.status_code, answer.url.path) == (status, f"/folders/{definition_id}/progress")


OCTETS = {
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>": None,
    b"<html><script>alert(1)</script>": None,
    b"\x00": None,
    b"\xff\xd8\xff<html><script>alert(1)</script>": "image/jpeg",
    b"GIF89a/*<script>*/=alert(1)": "image/gif",
    b"RIFF<js>WEBP": "image/webp",
}


def test_a_photo_is_a_photo_or_nothing(console: Console) -> None:
    """Whatever the directory has as one: no page, no script, and no other type than that of the first octets."""
    local = console.door.local
    folder_id = console.door.folder(local.staff)
    contact = local.get(f"/v1/folders/{folder_id}/contacts", limit=1)["contacts"][0]["contact_id"]
    client = console.administrator()
    for octets, kind in OCTETS.items():
        local.person.execute(
            "INSERT INTO contactsync.contact_photos (folder_id, contact_id, digest, photo) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (folder_id, contact_id) DO UPDATE SET photo = excluded.photo",
            [folder_id, contact, b"digest", octets],
        )
        digest = blake2b(octets, digest_size=16).hexdigest()
        answer = client.get(f"/photos/{folder_id}/{contact}/{digest}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        if kind is None:
            assert answer.status_code == 404
            assert octets not in answer.content
        else:
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
            assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
            of_an_old_page = client.get(f"/photos/{folder_id}/{contact}/{digest[::-1]}")
            assert (of_an_old_page.content, of_an_old_page.headers["cache-control"]) == (octets, "no-store")
    set_digest = "UPDATE contactsync.contacts SET photo_digest = %s WHERE contact_id = %s"
    digest = "00ff" * 8
    local.person.execute(set_digest, [bytes.fromhex(digest), contact])
    for path in (f"/folders/{local.staff}", f"/contacts/{folder_id}/{contact}"):
        assert f'src="/photos/{folder_id}/{contact}/{digest}"' in client.get(path).text
    local.person.execute(set_digest, [None, contact])
    local.person.execute("DELETE FROM contactsync.contact_photos WHERE contact_id = %s", [contact])


@pytest.mark.parametrize("text", ["x" * 201, "\0", '"><script>alert(1)</script>'], ids=["long", "NUL", "hostile"])
def test_what_is_searched_for_is_text(console: Console, text: str) -> None:
    """Shown as it was typed, or refused without a word of the daemon's own."""
    client = console.administrator()
    for path in ("/folders", f"/folders/{console.door.local.staff}"):
        answer = client.get(path, params={"q": text})
        assert "<script>alert" not in answer.text
        if "<" in text:
            assert (answer.status_code, "&lt;script&gt;alert(1)" in answer.text) == (200, True)
        else:
            assert (answer.status_code, "That is not possible" in answer.text) == (422, True)
            assert "pattern" not in answer.text


def test_a_progress_page_outlives_the_daemon(postgres_server: str, migrated_template: str, short_path: Path) -> None:
    """The stream stays open, and shows the run of the daemon that comes back."""
    with (
        database_of(postgres_server, template=migrated_template) as database,
        web_door(database, short_path) as door,
        web_console(door, short_path / "web") as console,
    ):
        local = door.local
        (run,) = local.get("/v1/runs", definition_id=local.staff, limit=1)["runs"]
        client = console.administrator()
        path = f"/folders/{local.staff}/live"
        with client.stream("GET", path, params={"after": run["run_id"]}, timeout=PATIENCE) as stream:
            lines = stream.iter_lines()
            next(lines)
            local.daemon.stop(signal.SIGKILL)
            assert client.get("/").status_code == 503
            local.daemon.start()
            newer = local.run(local.staff)["run_id"]
            text = "".join(lines)
        assert f"/runs/{newer}" in text
        assert text.endswith("event: finisheddata: -")


def test_it_serves_tls_itself(door: WebDoor, short_path: Path) -> None:
    """The cookie is for TLS only, and a request without TLS gets no answer."""
    files, port = make_certificates(short_path), ReservedPort()
    settings = {
        "LISTEN": f"{LOOPBACK}:{port.number}",
        "SOCKET": str(door.path),
        "TLS_CERTIFICATE": str(files.certificate),
        "TLS_KEY": str(files.key),
    }
    process = DaemonProcess("", short_path, **{f"CONTACTSYNC_WEB__{name}": text for name, text in settings.items()})
    process.launch(str(CONTACTSYNC), "web")
    try:
        (line,) = process.wait_for_event("web.listening")
        assert line["url"] == f"https://{LOOPBACK}:{port.number}"
        trusted = ssl.create_default_context(cafile=str(files.authority))
        with httpx.Client(base_url=line["url"], verify=trusted, headers=SAME_SITE, timeout=PATIENCE) as client:
            code = door.local.http.post("/v1/console/sign-in-codes").json()["code"]
            answer = client.post(f"/sign-in/{code}")
            assert answer.status_code == 303, answer.text
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-contactsync=")
            assert "; Secure" in cookie
            assert client.get("/").status_code == 200
            assert "max-age" in client.get("/health").headers["strict-transport-security"]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{LOOPBACK}:{port.number}/health", timeout=PATIENCE)
    finally:
        process.end()


def test_it_serves_at_the_socket_of_the_service_manager(door: WebDoor, short_path: Path) -> None:
    """A request that came before the start is answered, and the socket is still there at the end."""
    process = DaemonProcess("", short_path, CONTACTSYNC_WEB__SOCKET=str(door.path))
    path = short_path / "console.sock"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as early:
        listening.bind(str(path))
        listening.listen()
        early.connect(str(path))
        early.settimeout(PATIENCE)
        early.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        number = listening.fileno()
        process.launch(sys.executable, "-c", HAND_OVER, str(number), str(CONTACTSYNC), "web", pass_fds=[number])
        try:
            assert early.recv(100).startswith(b"HTTP/1.1 200 ")
            assert process.stop() == 0
        finally:
            process.end()
        assert path.is_socket()
