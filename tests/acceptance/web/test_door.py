"""The socket of the web console: whose word the daemon takes there, and under which name deeds are recorded."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.web_door import ADDRESS, WebDoor, actor_header

MakeDaemon = Callable[..., DaemonProcess]
HEADER = "Contactsync-Actor"
GOOD = {"user": "anna", "groups": ["staff"], "admin": True, "how": "directory", "address": "192.0.2.7"}

HAND_OVER_TWO = """
import os, sys
for number in (1, 2):
    os.dup2(int(sys.argv[number]), 2 + number)
    os.close(int(sys.argv[number]))
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:control"}
os.execv(sys.argv[3], sys.argv[3:])
"""
"""What a service manager does with two sockets between fork and exec (sd_listen_fds(3))."""


def encoded(document: Any) -> str:
    """A header's value."""
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.urlsafe_b64encode(text.encode()).decode()


def on(path: Path) -> httpx.Client:
    """A client of a socket."""
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://daemon", timeout=20)


MALFORMED = {
    "no base64": "{}",
    "no JSON": encoded("anna"),
    "a list": encoded([1]),
    "no user": encoded({name: value for name, value in GOOD.items() if name != "user"}),
    "an empty user": encoded(GOOD | {"user": ""}),
    "a user of two lines": encoded(GOOD | {"user": "anna\nroot"}),
    "a user with a space at the end": encoded(GOOD | {"user": "anna "}),
    "a long user": encoded(GOOD | {"user": "a" * 257}),
    "groups as text": encoded(GOOD | {"groups": "staff"}),
    "admin as text": encoded(GOOD | {"admin": "true"}),
    "admin as a number": encoded(GOOD | {"admin": 1}),
    "how as a sentence": encoded(GOOD | {"how": "By hand."}),
    "an unknown key": encoded(GOOD | {"role": "admin"}),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_a_header_that_is_not_valid_is_refused(door: WebDoor, value: str) -> None:
    """As a problem, also on paths that need no person."""
    for path in ("/v1/status", "/v1/health/live", "/v1/openapi.json"):
        response = door.http.get(path, headers={HEADER: value})
        assert (response.status_code, response.json()["code"]) == (400, "web.actor"), response.text
        assert response.headers["content-type"] == "application/problem+json"


def test_a_name_that_is_too_long_is_refused_in_words(door: WebDoor) -> None:
    """Of all that can be wrong with the header, only this can come from a person."""
    response = door.http.get("/v1/status", headers={HEADER: MALFORMED["a long user"]})
    assert response.json()["detail"] == "The name of the user has more than 256 characters."


def test_without_the_header_only_the_health_is_answered(door: WebDoor) -> None:
    """Nothing else is allowed, whatever other header there is."""
    assert door.http.get("/v1/health/live").json() == {"status": "ok"}
    assert door.http.get("/v1/health/ready").json() == {"status": "ok"}
    for method, path in [("GET", "/v1/status"), ("GET", "/v1/openapi.json"), ("POST", "/v1/sync"), ("GET", "/")]:
        response = door.http.request(
            method, path, headers={"Authorization": "Bearer cs_x", "User-Agent": "contactsync"}
        )
        assert (response.status_code, response.json()["code"]) == (400, "web.actor"), response.text


def test_a_hint_for_people_names_a_page(door: WebDoor) -> None:
    """One for programs at another socket names a route."""
    local = door.local
    unchanged = [local.run(local.staff)["run_id"] for _ in range(2)][-1]
    for path, end in (
        ("/v1/runs/987654", "lists the newest ones."),
        (f"/v1/runs/{unchanged}/undo", "shows what each run did."),
    ):
        hints = [response.json()["hint"] for response in (door.ask("root", "GET", path), local.http.get(path))]
        assert hints == [f'The page "Runs" {end}', f"GET /v1/runs {end}"]


def test_two_headers_are_refused(door: WebDoor) -> None:
    """None of them counts."""
    value = encoded(GOOD)
    response = door.http.get("/v1/status", headers=[(HEADER, value), (HEADER, value)])
    assert (response.status_code, response.json()["code"]) == (400, "web.actor")


def test_a_person_has_any_number_of_groups_and_any_groups(door: WebDoor) -> None:
    """Also those that no right can name: too long, or with a character that is not printable."""
    many = [f"CN=Members of the project number {number},OU=Groups,DC=example,DC=com" for number in range(8000)]
    groups = (*many, f"CN={'a' * 300}", "CN=no\u00a0break", "CN=nul\0", "CN=one \n", "")
    assert door.ask("anna", "GET", "/v1/folders", groups=groups).status_code == 200


def test_one_person_leaves_room_for_others_that_read_a_directory(door: WebDoor) -> None:
    """Requests of one person wait for each other, here for a server that does not answer; too many are refused."""
    silent, path = socket.create_server(("127.0.0.1", 0)), "/v1/check"
    slow = {"query": f"ldap://127.0.0.1:{silent.getsockname()[1]}", "tls": "none"}
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(door.ask, "root", "POST", path, json=slow) for _ in range(3)]
        accepted, _ = silent.accept()
        other = door.http.post(
            path, json={"definition_id": door.local.staff}, headers=actor_header("second", admin=True)
        )
        assert (other.status_code, other.json()["ok"]) == (200, True), other.text
        assert not any(each.done() for each in waiting)
        silent.close()
        accepted.close()
        for each in waiting:
            assert (each.result().status_code, each.result().json()["ok"]) == (200, False), each.result().text


def test_the_person_is_in_the_decision_the_audit_and_the_log(door: WebDoor) -> None:
    """With the way of signing in and the address of the browser."""
    local = door.local
    held = local.define("Held")
    local.run(held)
    local.person.execute(
        "UPDATE contactsync.sync_definitions SET filter = '(sn=Nobody)' WHERE definition_id = %s", [held]
    )
    run = local.run(held)
    assert run["outcome"] == "held"
    digest = door.get("root", f"/v1/runs/{run['run_id']}/plan")["digest"]
    rejected = door.ask("root", "POST", f"/v1/runs/{run['run_id']}/reject", params={"digest": digest})
    assert rejected.status_code == 200
    decided = local.person.execute(
        "SELECT decided_by FROM contactsync.held_plans WHERE run_id = %s", [run["run_id"]]
    ).fetchone()
    assert decided == ("root (web)",)
    deed = door.get("root", "/v1/audit", definition_id=held)["deeds"][0]
    assert (deed["action"], deed["actor_kind"], deed["actor"], deed["via"]) == ("run.rejected", "web", "root", "web")
    assert (deed["how"], deed["address"]) == ("directory", ADDRESS)
    local.daemon.wait_for_event("control.call", path=f"/v1/runs/{run['run_id']}/reject", user="root", how="directory")


def test_an_edit_is_the_persons(door: WebDoor) -> None:
    """The trigger of the audit writes it."""
    edited = door.local.define("Edited")
    assert door.ask("root", "PATCH", f"/v1/definitions/{edited}", json={"schedule": "every 30m"}).status_code == 200
    (deed, *_) = door.get("root", f"/v1/definitions/{edited}/edits")["deeds"]
    assert (deed["actor_kind"], deed["actor"], deed["after"]) == ("web", "root", {"schedule": "every 30m"})


def test_the_header_counts_on_no_other_socket(door: WebDoor) -> None:
    """At the control socket the kernel says who it is."""
    local = door.local
    response = local.http.post(f"/v1/definitions/{local.staff}/pause", headers=actor_header("mallory", admin=True))
    assert response.status_code == 200
    (deed, *_) = local.get("/v1/audit")["deeds"]
    assert (deed["actor_kind"], deed["how"]) == ("unix", None)
    assert deed["actor"] != "mallory"
    local.post(f"/v1/definitions/{local.staff}/resume")


def test_another_user_is_refused_with_a_valid_header(database: str, make_daemon: MakeDaemon) -> None:
    """Only the console's own user is believed, by the kernel's word; not even for the health."""
    daemon = make_daemon(
        database, CONTACTSYNC_WEB__ENABLED="true", CONTACTSYNC_WEB__USER="65533", CONTACTSYNC_WEB__GROUP=""
    )
    daemon.start()
    with on(Path(daemon.state) / "web.sock") as http:
        for path in ("/v1/status", "/v1/health/live"):
            response = http.get(path, headers=actor_header("root", admin=True))
            assert (response.status_code, response.json()["code"]) == (403, "web.peer"), response.text
    assert daemon.events("web.refused", error_code="web.peer")


def test_without_the_setting_there_is_no_socket(database: str, make_daemon: MakeDaemon) -> None:
    """The console is off by default."""
    daemon = make_daemon(database)
    daemon.start()
    assert sorted(path.name for path in Path(daemon.state).glob("*.sock")) == ["control.sock"]


def test_the_file_has_mode_0660_and_goes_at_the_end(database: str, make_daemon: MakeDaemon, short_path: Path) -> None:
    """At the path of the settings."""
    place = short_path / "console.sock"
    settings = {"ENABLED": "true", "USER": str(os.getuid()), "GROUP": "", "SOCKET": str(place)}
    daemon = make_daemon(database, **{f"CONTACTSYNC_WEB__{name}": value for name, value in settings.items()})
    daemon.start()
    assert stat.S_IMODE(place.stat().st_mode) == 0o660
    with on(place) as http:
        assert http.get("/v1/status", headers=actor_header("root", admin=True)).status_code == 200
    assert daemon.stop() == 0
    assert not place.exists()


@pytest.mark.parametrize(("name", "value"), [("USER", "no-such-user"), ("GROUP", "no-such-group")])
def test_a_user_or_group_that_does_not_exist_is_refused(
    database: str, make_daemon: MakeDaemon, name: str, value: str
) -> None:
    """At the start, with the setting's name."""
    settings = {"ENABLED": "true", "GROUP": "", "USER": str(os.getuid()), name: value}
    daemon = make_daemon(database, **{f"CONTACTSYNC_WEB__{key}": setting for key, setting in settings.items()})
    daemon.launch()
    assert daemon.wait() == 78
    assert f"[web] {name.lower()}" in daemon.text()


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_systemds_socket_with_the_name_web_is_the_consoles(
    database: str, make_daemon: MakeDaemon, short_path: Path, enabled: str
) -> None:
    """In any order of the sockets; one that is not enabled is not served."""
    daemon = make_daemon(database, CONTACTSYNC_WEB__ENABLED=enabled, CONTACTSYNC_WEB__USER=str(os.getuid()))
    with socket.socket(socket.AF_UNIX) as web, socket.socket(socket.AF_UNIX) as control:
        for listening, name in ((web, "w"), (control, "c")):
            listening.bind(str(short_path / name))
            listening.listen()
        numbers = [web.fileno(), control.fileno()]
        program = [sys.executable, "-c", HAND_OVER_TWO, *map(str, numbers), str(CONTACTSYNC), "daemon"]
        daemon.launch(*program, pass_fds=numbers)
        daemon.wait_for_start()
    with on(short_path / "c") as http:
        assert http.get("/v1/status").status_code == 200
    if enabled == "true":
        with on(short_path / "w") as http:
            assert http.get("/v1/status").status_code == 400
            assert http.get("/v1/status", headers=actor_header("root", admin=True)).status_code == 200
    else:
        assert daemon.events("control.sockets_unused", number=1)
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
            client.connect(str(short_path / "w"))
