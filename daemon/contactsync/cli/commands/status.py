"""`contactsync status`: what is running, on what, and how the folders do."""

from __future__ import annotations

import os
import platform
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.cli.client import live_daemon
from contactsync.cli.output.summary import run_document
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import NOTHING, show_json, show_pairs, show_text, until
from contactsync.errors import ControlError, DatabaseError
from contactsync.operations.overview import state_of
from contactsync.settings import find_settings_file
from contactsync.store.definitions import read_overview
from contactsync.store.embedded import psql_command
from contactsync.store.looks import daemon_listens, server_version
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import latest_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from contactsync.cli.context import Invocation

RUN_COLUMNS = ("Folder", "Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUNS = 5


def show_status(invocation: Invocation, *, as_json: bool) -> None:
    """One look at everything. Raises DatabaseError when there is no database to look at, and no daemon to ask."""
    live = _ask_daemon(invocation)
    try:
        with invocation.pool() as pool, connection_of(pool) as connection:
            status = _look(invocation, connection, live)
    except DatabaseError as error:
        if live is None:
            raise
        _show_daemon_only(invocation, live, error, as_json=as_json)
        return
    if as_json:
        show_json(invocation.out, status | {"runs": [run_document(run) for run in status["runs"]]})
        return
    show_pairs(invocation.out, _pairs(status))
    if status["runs"]:
        invocation.out.print()
        show_runs(invocation.out, status["runs"], RUN_COLUMNS)


def _show_daemon_only(invocation: Invocation, live: dict[str, Any], error: DatabaseError, *, as_json: bool) -> None:
    """For somebody who may ask the daemon, and may not open its database."""
    status = {"daemon_running": True, "daemon": live, "database": None}
    if as_json:
        show_json(invocation.out, status)
        return
    show_pairs(invocation.out, {"Daemon": _daemon(status)})
    show_text(invocation.err, f"Its database cannot be opened from here: {error}", style="yellow")


def _look(invocation: Invocation, connection: Connection[Any], live: dict[str, Any] | None) -> dict[str, Any]:
    rows = read_overview(connection)
    listens = live is not None or daemon_listens(connection)
    due = [row for row in rows if row["next_run_at"] is not None and row["enabled"]]
    first = min(due, key=lambda row: row["next_run_at"], default=None) if listens else None
    settings = invocation.settings
    url = settings.database.url.get_secret_value()
    file = find_settings_file(invocation.settings_file, os.environ)
    return {
        "version": version("contactsync"),
        "python_version": platform.python_version(),
        "postgresql_version": server_version(connection),
        "settings_file": str(file) if file else None,
        "state_directory": str(settings.state.directory),
        "database": {"embedded": not url, "url": _without_password(url) if url else None},
        "psql": None if url else _psql(connection),
        "daemon_running": listens,
        "daemon": live,
        "definitions": dict(Counter(state_of(row).value for row in rows)),
        "contacts": sum(row["contacts"] for row in rows),
        "next_run": {"label": first["label"], "at": first["next_run_at"]} if first else None,
        "runs": latest_runs(connection, limit=RUNS),
    }


def _pairs(status: Mapping[str, Any]) -> dict[str, str]:
    states: dict[str, int] = status["definitions"]
    first = status["next_run"]
    return {
        "Daemon": _daemon(status),
        "Definitions": ", ".join(f"{number:,} {state}" for state, number in states.items()) or "none yet",
        "Contacts": f"{status['contacts']:,}",
        "Next run": f"{first['label']}, {until(first['at'])}" if first else NOTHING,
        "Database": _database(status),
        **({"SQL": status["psql"]} if status["psql"] else {}),
        "Settings": status["settings_file"] or "defaults (no settings.toml found)",
        "State": status["state_directory"],
        "Version": f"contactsync {status['version']}, Python {status['python_version']}",
    }


def _ask_daemon(invocation: Invocation) -> dict[str, Any] | None:
    """What the daemon says of itself; None when none is alive, or when it is not for this user to ask."""
    try:
        with live_daemon(invocation.settings.control.socket) as daemon:
            return dict(daemon.get("/v1/status")) if daemon else None
    except ControlError as error:
        show_text(invocation.err, str(error), style="yellow")
        return None


def _daemon(status: Mapping[str, Any]) -> str:
    live = status["daemon"]
    if not live:
        return "running" if status["daemon_running"] else "not running on this database"
    running = [f"{run['label']} ({run['entries']:,} read)" for run in live["running"]]
    words = [
        f"running, process {live['pid']}",
        f"synchronizing {', '.join(running)}" if running else "",
        f"{live['waiting']:,} waiting" if live["waiting"] else "",
        _following(live["live"]),
        *live["problems"],
    ]
    return "; ".join(word for word in words if word)


def _following(live: Mapping[str, Any]) -> str:
    """How the folders do that follow their directory at once, or might; nothing when there are none."""
    behind = f", {live['behind_seconds']:.1f} s behind" if live["behind_seconds"] else ""
    listening, others = live["listening"], live["not_listening"]
    polled = f", {others:,} by schedule only" if others else ""
    followed = f"{listening:,} live{behind}{polled}" if listening or others else ""
    scheduled = f"{live['auto_scheduled']:,} of mode auto by schedule" if live["auto_scheduled"] else ""
    return "; ".join(filter(None, [followed, scheduled]))


def _database(status: Mapping[str, Any]) -> str:
    database = status["database"]
    where = "embedded" if database["embedded"] else database["url"]
    return f"{where} (PostgreSQL {status['postgresql_version']})"


def _psql(connection: Connection[Any]) -> str:
    """How to look at the embedded database, which nobody else could know."""
    info = connection.info
    return psql_command(make_conninfo(host=info.host, user=info.user, dbname=info.dbname))


def _without_password(url: str) -> str:
    """The connection as libpq's keywords and values, which is also what a URL means."""
    parameters = conninfo_to_dict(url)
    secret = {"password", "sslpassword", "oauth_client_secret"}
    return make_conninfo("", **{name: value for name, value in parameters.items() if name not in secret})
