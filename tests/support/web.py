"""The web console as a process in front of a real daemon, and people who use it by HTTP or in a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.accounts import PASSWORDS
from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.waiting import PATIENCE, wait_until
from tests.support.web_door import WebDoor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

CHROMIUM = "/usr/bin/chromium-headless-shell"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
"""What a browser sends with a form of the console itself."""


class Console:
    """The console's process, the daemon behind it as `door`, and clients of both."""

    def __init__(self, process: DaemonProcess, url: str, door: WebDoor) -> None:
        self.process = process
        self.url = url
        self.door = door
        self._clients: list[httpx.Client] = []
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def link(self) -> str:
        """A new link that signs an administrator in, once."""
        response = self.door.local.http.post("/v1/console/sign-in-codes")
        assert response.status_code == 201, response.text
        return f"{self.url}/sign-in/{response.json()['code']}"

    def client(self, **options: Any) -> httpx.Client:
        """A new client that has not signed in, and sends its forms as a browser does."""
        options = {"base_url": self.url, "headers": SAME_SITE, "timeout": PATIENCE, **options}
        client = httpx.Client(**options)
        self._clients.append(client)
        return client

    def administrator(self) -> httpx.Client:
        """A new client that has signed in by a link."""
        client = self.client()
        response = client.post(self.link())
        assert response.status_code == 303, response.text
        return client

    def person(self, name: str) -> httpx.Client:
        """A new client of a person who has signed in by a password."""
        client = self.client()
        response = client.post("/sign-in", data={"name": name, "password": PASSWORDS[name]})
        assert response.status_code == 303, response.text
        return client

    def page(self, browser: Browser, *, signed_in: bool = True, **options: Any) -> Page:
        """A page of a browser with cookies of its own; by default an administrator has signed in.

        `complaints` gets errors in the browser's console, and requests to other hosts.
        """
        context = browser.new_context(base_url=self.url, reduced_motion="reduce", **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note_request)
        if signed_in:
            page.goto(self.link())
            page.get_by_role("main").get_by_role("button").click()
            page.wait_for_url(f"{self.url}/")
        return page

    def close(self) -> None:
        """Close the clients and the browser's contexts that a test has opened."""
        for client in self._clients:
            client.close()
        for context in self._contexts:
            context.close()
        self._clients, self._contexts = [], []

    def _note_message(self, message: Any) -> None:
        # The browser also logs each answer with an error's status, which some tests want.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.complaints.append(request.url)


def another_view(console: Console) -> Console:
    """The same process, with clients, pages and complaints of its own."""
    return Console(console.process, console.url, console.door)


@contextmanager
def web_console(door: WebDoor, place: Path, **settings: str) -> Iterator[Console]:
    """Start the console's process at a free port, with a daemon behind it; settings as `CONTACTSYNC_WEB__...`."""
    port = ReservedPort()
    place.mkdir(exist_ok=True)
    own = {"CONTACTSYNC_WEB__LISTEN": f"{LOOPBACK}:{port.number}", "CONTACTSYNC_WEB__SOCKET": str(door.path)}
    process = DaemonProcess("", place, **(own | settings))
    process.launch(str(CONTACTSYNC), "web")
    console = Console(process, f"http://{LOOPBACK}:{port.number}", door)
    try:
        process.wait_for_event("web.listening")
        wait_until(lambda: _answers(console.url), process.text)
        yield console
    finally:
        console.close()
        process.end()


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Debian's chromium, without a window. Root needs --no-sandbox."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    try:
        yield browser
    finally:
        browser.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False
