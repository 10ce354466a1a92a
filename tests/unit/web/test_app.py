"""The application without a process: its protections, and its pages about what is wrong."""

from __future__ import annotations

import asyncio
import html
import json
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from contactsync import __version__
from contactsync.settings.loader import load_settings
from contactsync.web.app import create_app
from contactsync.web.context import CurrentSession, PersonsDaemon, WebContext
from contactsync.web.middleware.limits import MOST_BODY_BYTES, TimeLimit, allow_long
from contactsync.web.person import Person
from contactsync.web.sessions import Sessions
from contactsync.web.signin import routes

ANNA = Person("anna", admin=False, how="directory", address="192.0.2.7")
PLAIN, SECURE = "http://127.0.0.1:8480", "https://contacts.example.com"
OWN = {"Sec-Fetch-Site": "same-origin"}

router = APIRouter()


@router.get("/test/form")
def form(request: Request, session: CurrentSession) -> Response:
    """What was kept for this form."""
    return PlainTextResponse(json.dumps(dict(session.take_kept(request.url.path))))


@router.post("/test/form")
async def send(request: Request, _session: CurrentSession) -> Response:
    """Read a form."""
    async with request.form() as fields:
        return PlainTextResponse(", ".join(fields))


@router.get("/test/daemon")
def ask(daemon: PersonsDaemon) -> Response:
    """Ask the daemon."""
    return PlainTextResponse(str(daemon.get("/v1/anything")))


@router.get("/test/defect")
def break_down() -> Response:
    """A defect."""
    raise RuntimeError


class Console:
    """The application, and a client with a session of Anna's."""

    def __init__(self, context: WebContext) -> None:
        self.context = context
        app = create_app(context)
        app.include_router(router)
        self.app = app

    @asynccontextmanager
    async def client(self, *, signed_in: bool = True, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client that sends forms as a browser does."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url=self.context.origin, headers=OWN | headers
        ) as client:
            if signed_in:
                client.cookies.set(self.context.cookie, self.context.sessions.begin(ANNA))
            yield client

    def request(self, method: str, path: str, *, signed_in: bool = True, **options: Any) -> httpx.Response:
        """One request."""

        async def send_it() -> httpx.Response:
            async with self.client(signed_in=signed_in) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send_it())


@pytest.fixture
def context(tmp_path: Path) -> WebContext:
    """Give a console whose daemon is not there."""
    settings = load_settings(Path("/dev/null"), {"CONTACTSYNC_WEB__SOCKET": str(tmp_path / "web.sock"), "HOME": "/x"})
    return WebContext(settings=settings, origin=PLAIN, hosts=frozenset({"127.0.0.1"}), sessions=Sessions())


@pytest.fixture
def console(context: WebContext) -> Console:
    """Give a console at plain loopback."""
    return Console(context)


@pytest.fixture
def secure(context: WebContext) -> Console:
    """Give a console that browsers reach over TLS."""
    return Console(replace(context, origin=SECURE, hosts=frozenset({"contacts.example.com"})))


@pytest.mark.parametrize("path", ["/sign-in", "/none", "/test/form", "/test/daemon", "/static/x/y"])
def test_every_answer_has_the_headers_that_protect_it(console: Console, path: str) -> None:
    """Also those of errors."""
    headers = console.request("GET", path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"


def test_static_files_are_kept_for_good_under_a_name_with_their_digest(console: Console) -> None:
    """An old name is not found, so that no cache has another content under it."""
    page = console.request("GET", "/sign-in", signed_in=False)
    (url,) = re.findall(r'href="(/static/[^"]+\.css)"', page.text)
    assert "immutable" in console.request("GET", url, signed_in=False).headers["cache-control"]
    assert console.request("GET", re.sub("/[0-9a-f]{16}/", f"/{'0' * 16}/", url)).status_code == 404
    assert console.request("GET", "/static/0/../app.py").status_code == 404


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": PLAIN}, False),
        ({"Origin": PLAIN}, True),
        ({"Origin": "http://127.0.0.1:9999"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
    ],
)
def test_only_its_own_forms_change_something(console: Console, headers: dict[str, str], accepted: bool) -> None:  # noqa: FBT001
    """By what the browser says of their origin."""

    async def send_it() -> int:
        async with console.client() as client:
            del client.headers["Sec-Fetch-Site"]
            return (await client.post("/test/form", data={"a": "b"}, headers=headers)).status_code

    assert asyncio.run(send_it()) == (200 if accepted else 403)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost:8480"])
def test_another_name_is_refused(console: Console, host: str) -> None:
    """A foreign name that leads to this machine is another site for the browser (DNS rebinding)."""
    answer = console.request("GET", "/sign-in", headers={"Host": host})
    assert answer.status_code == 421


def test_a_body_beyond_the_limit_is_refused(console: Console) -> None:
    """With a page that says so."""
    assert console.request("POST", "/test/form", data={"a": "x" * (MOST_BODY_BYTES - 100)}).status_code == 200
    answer = console.request("POST", "/test/form", data={"a": "x" * MOST_BODY_BYTES})
    assert answer.status_code == 413
    assert "64 kB" in answer.text


def test_a_request_that_takes_too_long_is_answered() -> None:
    """And what it sends afterwards is dropped."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)
        await PlainTextResponse("late")(scope, receive, send)

    async def ask_it() -> httpx.Response:
        transport = httpx.ASGITransport(TimeLimit(slow, seconds=0.05))
        async with httpx.AsyncClient(transport=transport, base_url=PLAIN) as client:
            return await client.get("/")

    answer = asyncio.run(ask_it())
    assert answer.status_code == 504
    assert "late" not in answer.text


def test_a_page_may_give_its_answer_more_time() -> None:
    """It goes on beyond the limit of others."""

    async def longer(scope: Any, receive: Any, send: Any) -> None:
        allow_long(Request(scope).state)
        await asyncio.sleep(0.2)
        await PlainTextResponse("late")(scope, receive, send)

    async def ask_it() -> httpx.Response:
        transport = httpx.ASGITransport(TimeLimit(longer, seconds=0.05))
        async with httpx.AsyncClient(transport=transport, base_url=PLAIN) as client:
            return await client.get("/")

    assert asyncio.run(ask_it()).text == "late"


@pytest.mark.parametrize(
    ("method", "path", "do", "longer"),
    [
        ("POST", "/folders/new", "test", True),
        ("POST", "/folders/new", "preview", True),
        ("POST", "/runs/1/undo", "", True),
        ("POST", "/folders/new", "add", False),
        ("GET", "/runs", "", False),
    ],
)
def test_what_reads_a_directory_may_take_longer(
    context: WebContext, method: str, path: str, do: str, *, longer: bool
) -> None:
    """And what undoes a run; nothing else."""
    console, states = Console(context), []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        states.append(scope.setdefault("state", {}))
        await console.app(scope, receive, send)

    async def ask_it() -> httpx.Response:
        transport = httpx.ASGITransport(noting)
        async with httpx.AsyncClient(transport=transport, base_url=PLAIN, headers=OWN) as client:
            client.cookies.set(context.cookie, context.sessions.begin(ANNA))
            return await client.request(method, path, data={"do": do, "query": "dc1", "folder": "Staff"})

    with daemon(context, 409, {"status": 409, "code": "run.busy", "detail": "It is so.", "hint": "Do that."}):
        assert "It is so." in page(asyncio.run(ask_it()))
    assert states[0].get("answer_seconds", 0) == (310 if longer else 0)


def test_the_cookie_is_for_this_host_and_no_script(console: Console, secure: Console) -> None:
    """With the prefix __Host- over TLS; on plain loopback browsers do not accept it."""
    for each, name, flags in ((console, "contactsync", set()), (secure, "__Host-contactsync", {"secure"})):
        assert each.context.cookie == name
        with daemon(each.context, 200, {"user": "root"}):
            answer = each.request("POST", "/sign-in/code", signed_in=False)
        cookie, *parts = answer.headers["set-cookie"].split("; ")
        assert cookie.startswith(f"{name}=")
        assert {part.lower() for part in parts} >= {"httponly", "path=/", "samesite=lax"} | flags
        assert not [part for part in parts if part.lower().startswith("domain")]


def test_the_end_of_a_session_clears_what_the_browser_has(secure: Console) -> None:
    """And the session is gone, also for a copy of the cookie."""
    token = secure.context.sessions.begin(ANNA)
    headers = {"Cookie": f"{secure.context.cookie}={token}"}
    answer = secure.request("POST", "/sign-out", signed_in=False, headers=headers)
    assert answer.headers["clear-site-data"] == '"cache", "cookies", "storage"'
    assert secure.context.sessions.find(token) is None
    assert secure.request("GET", "/test/form", signed_in=False, headers=headers).status_code == 303


def test_what_was_typed_is_kept_when_a_session_ends_in_mid_form(context: WebContext) -> None:
    """Without passwords: the sign-in page carries it, and the form has it afterwards, once."""
    console = Console(context)
    typed = {"label": 'Sales <b>"', "query": "ldaps://dc1", "password": "secret-one", "new_password": "secret-two"}
    referer = {"Referer": f"{PLAIN}/folders/1/settings"}
    ended = console.request("POST", "/test/form", signed_in=False, data=typed, headers=referer)
    assert ended.status_code == 401
    assert "Your session has ended" in ended.text
    assert "secret" not in ended.text
    assert "Sales <b>" not in ended.text
    assert "Sales &lt;b&gt;" in ended.text


def test_a_form_gets_what_was_kept_for_it(console: Console) -> None:
    """Once."""

    async def visit() -> list[str]:
        async with console.client() as client:
            session = console.context.sessions.find(str(client.cookies.get(console.context.cookie)))
            assert session
            session.keep("/test/form", {"label": "Sales"})
            return [(await client.get("/test/form")).text for _ in range(2)]

    assert asyncio.run(visit()) == ['{"label": "Sales"}', "{}"]


def page(response: httpx.Response) -> str:
    """The text of a page, without tags."""
    return html.unescape(re.sub(r"<[^>]+>", " ", response.text))


def test_a_daemon_that_is_not_there_has_a_page(console: Console) -> None:
    """Which says so, and what to do."""
    answer = console.request("GET", "/test/daemon")
    assert answer.status_code == 503
    assert "The daemon does not answer" in page(answer)
    assert console.request("GET", "/health").status_code == 503


def test_the_code_of_a_link_is_in_no_record_of_the_log(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither if the daemon does not answer, who may still know it, nor after a defect."""
    with structlog.testing.capture_logs() as logged:
        assert console.request("POST", "/sign-in/secret-code", signed_in=False).status_code == 503
        monkeypatch.setattr(routes, "Daemon", None)
        assert console.request("POST", "/sign-in/secret-code", signed_in=False).status_code == 500
    assert [line["event"] for line in logged] == ["web.daemon_failed", "web.crashed"]
    assert "secret-code" not in str(logged)


def test_a_defect_has_a_page_without_details(console: Console) -> None:
    """They are in the log. The answer has the same protection as others."""
    with structlog.testing.capture_logs() as logged:
        answer = console.request("GET", "/test/defect")
    assert answer.status_code == 500
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["web.crashed"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "RuntimeError" not in answer.text
    assert "Something went wrong here" in page(answer)


PROBLEMS = [
    (404, "not_found", "Not found"),
    (403, "token.forbidden", "You may not do this"),
    (409, "run.busy", "This was not done"),
    (503, "database.unavailable", "This is not possible now"),
]


@pytest.mark.parametrize(("status", "code", "title"), PROBLEMS)
def test_a_problem_of_the_daemon_has_a_page(context: WebContext, status: int, code: str, title: str) -> None:
    """With its sentence, what to do next, and its code."""
    problem = {"status": status, "code": code, "detail": "It is <so>.", "hint": "Do that."}
    with daemon(context, status, problem):
        answer = Console(context).request("GET", "/test/daemon")
    assert answer.status_code == status
    assert title in page(answer)
    assert "It is <so>." in page(answer)
    assert "<so>" not in answer.text


@pytest.mark.parametrize("ending", ["/contacts/2", "/history"])
def test_a_contact_that_cannot_be_read_is_not_called_deleted(context: WebContext, ending: str) -> None:
    """Nor one without a history: only a daemon that knows says so."""
    problem = {"status": 503, "code": "database.unavailable", "detail": "No database.", "hint": ""}
    with daemon(context, 503, problem, ending=ending):
        answer = Console(context).request("GET", "/contacts/1/2")
    assert answer.status_code == 503
    assert "This is not possible now" in page(answer)


def test_a_daemon_of_another_version_has_a_page(context: WebContext) -> None:
    """With both versions, and what to restart."""
    with daemon(context, 200, {}, version="0.0.9"):
        answer = Console(context).request("GET", "/test/daemon")
    assert answer.status_code == 503
    assert "The daemon is of another version" in page(answer)
    assert "0.0.9" in page(answer)
    assert __version__ in page(answer)


class daemon:  # noqa: N801 -- used as a function
    """A process at the daemon's socket that gives one answer to everything; the status only for paths with `ending`."""

    def __init__(
        self, context: WebContext, status: int, document: Any, version: str = __version__, ending: str = ""
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                body = json.dumps(document).encode()
                self.send_response(status if self.path.endswith(ending) else 200)
                self.send_header("contactsync-version", version)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 -- the name is BaseHTTPRequestHandler's

            def log_message(self, *_: Any) -> None:
                pass

            def address_string(self) -> str:
                return ""

        self._server = ThreadingUnixStreamServer(str(context.socket), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        Path(str(self._server.server_address)).unlink()
