"""The API over TLS: who gets in, for how long, and what strangers cannot disturb."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import sql

from contactsync.api.access.authentication import FAILURES_PER_MINUTE
from contactsync.credentials.tokens import new_token
from contactsync.testing.ports import LOOPBACK
from tests.support.processes import run_command
from tests.support.tls_api import TlsApi
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def unfinished_requests(api: TlsApi) -> Iterator[list[socket.socket]]:
    """Connect before all other tests: one sends nothing, one half a handshake, one half a request."""
    with api.raw() as silent, api.raw() as slow, api.trust.wrap_socket(api.raw(), server_hostname=LOOPBACK) as half:
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        half.sendall(b"GET /v1/health/live HT")
        yield [silent, slow, half]


def from_address(api: TlsApi, address: str, token: str | None = None) -> httpx.Client:
    """A client with another address of loopback, whose failures count for itself alone."""
    transport = httpx.HTTPTransport(verify=api.trust, local_address=address)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=api.url, transport=transport, headers=headers)


def cli(api: TlsApi, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on the daemon's machine."""
    return run_command(*arguments, environ=api.local.daemon.environ)


def test_curl_with_a_token_from_the_command_line_reads_definitions(api: TlsApi, tmp_path: Path) -> None:
    """As the page shows it; only the token is on standard output."""
    added = cli(api, "tokens", "add", "curl", "--folders", "Staff", "--folders", "anna/Private", "--may", "read,sync")
    assert (added.returncode, added.stderr) == (0, "Keep it like a password. It cannot be shown again.\n")
    (tmp_path / "token.header").write_text(f"Authorization: Bearer {added.stdout.strip()}\n", encoding="utf-8")
    command = ["curl", "--silent", "--fail", "--cacert", str(api.files.authority), "--header", "@token.header"]
    done = subprocess.run([*command, f"{api.url}/v1/definitions"], cwd=tmp_path, capture_output=True, check=True)
    assert [each["label"] for each in json.loads(done.stdout)["definitions"]] == ["Staff", "anna/Private"]


def test_the_python_of_the_page_synchronizes_a_folder(api: TlsApi) -> None:
    """With nothing but the standard library."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    environ = {"API_URL": api.url, "API_CA": str(api.files.authority), "API_TOKEN": api.token("sync")}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout) == ("", "Staff unchanged 0 0 0\n")


def test_tokens_are_listed_and_revoked_by_command(api: TlsApi) -> None:
    """Without their text, with who added them, and with the reason of each refusal."""
    added = json.loads(
        cli(api, "tokens", "add", "lists", "--owners", "anna", "--may", "read", "--expires", "90d", "--json").stdout
    )
    listed = {each["name"]: each for each in json.loads(cli(api, "tokens", "list", "--json").stdout)}
    assert listed["lists"].items() <= added.items()
    assert added.keys() - listed["lists"].keys() == {"token"}
    row = next(line for line in cli(api, "tokens", "list").stdout.splitlines() if line.startswith("lists "))
    assert re.fullmatch(r"lists +valid +read +anna/\* +- +in 89 d", row)
    again = cli(api, "tokens", "add", "lists", "--everything", "--may", "read")
    assert again.stderr.startswith("Error: There is a token lists already.")
    assert cli(api, "tokens", "revoke", "lists").stdout == "The token lists is revoked.\n"
    assert "lists" in cli(api, "tokens", "revoke", "lists").stderr
    deeds = api.local.get("/v1/audit", limit=20)["deeds"]
    about = [(deed["action"], deed["actor_kind"]) for deed in deeds if (deed["after"] or {}).get("token") == "lists"]
    assert about == [("token.revoked", "unix"), ("token.added", "unix")]
    assert added["token"] not in json.dumps(deeds)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x y", "everything": True},
        {"everything": True, "may": ["write"]},
        {"everything": True, "may": []},
        {},
        {"everything": True, "folders": ["Staff"]},
        {"folders": ["Staff:branch"]},
        {"folders": ["a/b/c"]},
        {"folders": ["/Staff"]},
        {"owners": [""]},
        {"everything": True, "expires": "soon"},
    ],
    ids=str,
)
def test_a_token_that_is_not_valid_is_not_added(api: TlsApi, fields: dict[str, Any]) -> None:
    """The answer says what to give."""
    answer = api.local.http.post("/v1/tokens", json={"name": "new", "may": ["read"], **fields})
    assert (answer.status_code, answer.json()["code"]) == (409, "usage")
    assert answer.json()["hint"]


def test_only_the_digest_of_a_token_is_stored(api: TlsApi) -> None:
    """Whoever has a dump of the database has no token."""
    token = api.token("read")
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'contactsync'"
    names = [name for (name,) in api.local.person.execute(tables)]
    assert "tokens" in names
    for name in names:
        rows = sql.SQL("SELECT count(*) FROM contactsync.{} AS t WHERE t::text LIKE %s").format(sql.Identifier(name))
        assert api.local.person.execute(rows, [f"%{token[3:-8]}%"]).fetchone() == (0,), name


NOT_VALID = {
    "none": None,
    "another scheme": "Basic cm9vdDpyb290",
    "no token": "Bearer",
    "too short": "Bearer cs_1234",
    "not known": f"Bearer {new_token()}",
    "mistyped": f"Bearer {new_token()[:-1]}x",
    "not known, another scheme": f"Token {new_token()}",
}


@pytest.mark.parametrize("kind", NOT_VALID)
def test_without_a_valid_token_nothing_is_answered(api: TlsApi, kind: str) -> None:
    """Not even whether a path exists."""
    header = NOT_VALID[kind]
    # An address for each of them, since failures are counted by address.
    with from_address(api, f"127.0.1.{list(NOT_VALID).index(kind) + 1}") as client:
        for path in ("/v1/status", "/v1/health/live", "/v1/openapi.json", "/nothing"):
            answer = client.get(path, headers={} if header is None else {"Authorization": header})
            assert (answer.status_code, answer.json()["code"]) in {(401, "token.refused"), (429, "token.rate")}
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_in_the_url_is_refused_and_is_not_logged(api: TlsApi) -> None:
    """Also with a valid token in the header, and also if it is escaped."""
    token = api.token()
    with from_address(api, "127.0.2.1", token) as client:
        for url in (
            f"/v1/status?token={token}",
            f"/v1/status?access_token={token}",
            f"/v1/definitions?text={token.replace('cs', '%63%73')}",
            f"/v1/{token}",
        ):
            assert client.get(url).json()["code"] == "token.in_url"
    with from_address(api, "127.0.2.1") as client:
        assert client.post(f"/v1/sync?access_token={token}").json()["code"] == "token.in_url"
    api.local.daemon.wait_for_event("api.refused", error_code="token.in_url", address="127.0.2.1")
    assert token[3:] not in api.local.daemon.text()


def test_guesses_from_one_address_are_limited_and_a_valid_token_is_not(api: TlsApi) -> None:
    """The answer says how long to wait, and the log does not grow."""
    with from_address(api, "127.0.3.1") as guessing, from_address(api, "127.0.3.1", api.token("read")) as valid:
        tokens = [new_token() for _ in range(FAILURES_PER_MINUTE + 5)]
        codes = [guessing.get("/v1/status", headers={"Authorization": f"Bearer {token}"}) for token in tokens]
        assert [answer.status_code for answer in codes[:FAILURES_PER_MINUTE]] == [401] * FAILURES_PER_MINUTE
        assert codes[-1].status_code == 429
        assert 1 <= int(codes[-1].headers["retry-after"]) <= 6
        assert valid.get("/v1/status").status_code == 200
    assert len(api.local.daemon.events("api.refused", address="127.0.3.1")) <= FAILURES_PER_MINUTE + 1


def test_a_revoked_token_ends_at_once_with_its_event_stream(api: TlsApi) -> None:
    """Within a second, although no request asks the database."""
    token = api.token("read")
    client = api.client(token)
    assert client.get("/v1/folders").status_code == 200
    with client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        (name,) = [each["name"] for each in api.local.get("/v1/tokens")][-1:]
        api.local.http.delete("/v1/tokens", params={"name": name})
        wait_until(lambda: client.get("/v1/folders").status_code == 401, "the token to be refused")
        api.local.run(api.staff)
        assert not any(line.startswith("event: run.finished") for line in lines)


def test_an_expired_token_is_refused(api: TlsApi) -> None:
    """Without any notice of the database."""
    client = api.client(api.token("read", expires="1h"))
    assert client.get("/v1/folders").status_code == 200
    api.local.person.execute("UPDATE contactsync.tokens SET expires_at = now() WHERE expires_at IS NOT NULL")
    wait_until(lambda: client.get("/v1/folders").status_code == 401, "the token to be refused")


def test_the_last_use_is_noted_once_a_minute(api: TlsApi) -> None:
    """A thousand requests make one write."""
    client = api.client(api.token("read"))

    def used() -> Any:
        return api.local.get("/v1/tokens")[-1]["last_used_at"]

    assert used() is None
    assert client.get("/v1/folders").status_code == 200
    first = wait_until(used, "the first use")
    for _ in range(20):
        client.get("/v1/folders")
    assert used() == first


def test_what_a_token_does_is_audited_and_logged_under_its_name(api: TlsApi) -> None:
    """With the address in the log; a decision too."""
    api.client(api.token("edit")).post(f"/v1/definitions/{api.staff}/pause")
    name = api.local.get("/v1/tokens")[-1]["name"]
    (deed,) = api.local.get("/v1/audit", definition_id=api.staff, limit=1)["deeds"]
    assert (deed["action"], deed["via"]) == ("definition.paused", "api")
    assert (deed["actor_kind"], deed["actor"]) == ("token", name)
    api.local.daemon.wait_for_event("control.call", token=name, address=LOOPBACK, outcome="done")
    api.local.post(f"/v1/definitions/{api.staff}/resume")
    assert f"token {name}" in cli(api, "audit", "Staff", "--limit", "5").stdout


def test_plain_text_and_old_tls_are_refused(api: TlsApi) -> None:
    """There is no mode without TLS 1.2 or later."""
    with api.raw() as plain:
        plain.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/" not in plain.recv(64)
    # The client of this machine's OpenSSL may refuse old versions itself; its command-line tool can be told not to.
    command = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{api.port}", "-cipher", "ALL:@SECLEVEL=0"]
    for version in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
        done = subprocess.run([*command, version], input="", capture_output=True, text=True, check=False)
        assert ("Cipher is (NONE)" in done.stdout) is (version in {"-tls1", "-tls1_1"}), done


def test_hundreds_of_silent_strangers_disturb_nobody(api: TlsApi) -> None:
    """In the handshake and after it; users of the socket and programs with a token are served."""
    with ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(api.raw())
            if number % 3 == 0:
                connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        for _ in range(80):
            stack.enter_context(api.trust.wrap_socket(api.raw(), server_hostname=LOOPBACK))
        assert api.local.get("/v1/health/ready") == {"status": "ok"}
        assert api.client(api.token("read")).get("/v1/status").status_code == 200
        assert len(list(Path(f"/proc/{api.local.daemon.pid}/fd").iterdir())) < 250


def test_a_body_that_is_too_long_is_refused(api: TlsApi) -> None:
    """Before it fills the memory, and with a token only."""
    big = {"folder": "x" * 70_000}
    assert api.client(api.token("edit")).post("/v1/definitions", json=big).status_code == 413
    with from_address(api, "127.0.4.1") as stranger:
        assert stranger.post("/v1/definitions", json=big).status_code == 401


def test_a_handshake_and_a_request_have_to_be_complete_in_time(unfinished_requests: list[socket.socket]) -> None:
    """The daemon closes the connections."""
    for connection in unfinished_requests:
        assert connection.recv(64)[:1] in {b"", b"\x15"}


def test_no_token_is_in_the_log(api: TlsApi) -> None:
    """Nor the secret part of one, whatever the tests before did."""
    assert not re.search(r"cs_[0-9a-f]{8}|[0-9a-f]{64}", api.local.daemon.text())
