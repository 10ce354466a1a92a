"""`contactsync status`: the daemon, the folders, the last runs and the database."""

from __future__ import annotations

import os
import platform
from collections import Counter
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic_core import to_jsonable_python

from contactsync import __version__
from contactsync.cli.client import live_daemon
from contactsync.cli.commands.folders.list import state_words
from contactsync.cli.output.progress import attempt_words
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import NOTHING, show_json, show_pairs, show_text, until
from contactsync.errors import ControlError, DatabaseError
from contactsync.model import FurtherAttempt
from contactsync.operations.runs import list_runs
from contactsync.settings.file import find_settings_file
from contactsync.store.definitions import read_overview
from contactsync.store.embedded import psql_command
from contactsync.store.health import daemon_listens, server_version
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from contactsync.cli.context import Invocation

RUN_COLUMNS = ("Folder", "Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUNS = 5


def show_status(invocation: Invocation, *, as_json: bool) -> None:
    """Print the status. Raises DatabaseError if neither the database nor a daemon can be reached."""
    daemon = _ask_daemon(invocation)
    try:
        with invocation.connection() as connection:
            status = _read(invocation, connection, daemon)
    except DatabaseError as error:
        if daemon is None:
            raise
        _show_daemon_only(invocation, daemon, error, as_json=as_json)
        return
    if as_json:
        show_json(invocation.out, status)
        return
    show_pairs(invocation.out, _pairs(status))
    if status["runs"]:
        invocation.out.print()
        show_runs(invocation.out, status["runs"], RUN_COLUMNS)


def _show_daemon_only(invocation: Invocation, daemon: dict[str, Any], error: DatabaseError, *, as_json: bool) -> None:
    """For a user who may use the control socket but not the database."""
    status = {"daemon_running": True, "daemon": daemon, "database": None}
    if as_json:
        show_json(invocation.out, status)
        return
    show_pairs(invocation.out, {"Daemon": _daemon(status)})
    show_text(invocation.err, f"You cannot open its database: {error}", style="yellow")


def _read(invocation: Invocation, connection: Connection[Any], daemon: dict[str, Any] | None) -> dict[str, Any]:
    rows = read_overview(connection)
    running = daemon is not None or daemon_listens(connection)
    due = [row for row in rows if row["next_run_at"] is not None and row["enabled"]]
    first = min(due, key=lambda row: row["next_run_at"], default=None) if running else None
    settings = invocation.settings
    url = settings.database.url.get_secret_value()
    file = find_settings_file(invocation.settings_file, os.environ)
    return {
        "version": __version__,
        "python_version": platform.python_version(),
        "postgresql_version": server_version(connection),
        "settings_file": str(file) if file else None,
        "state_directory": str(settings.state.directory),
        "database": {"embedded": not url, "url": _without_password(url) if url else None},
        "psql": None if url else _psql(connection),
        "daemon_running": running,
        "daemon": daemon,
        "definitions": dict(Counter(row["state"] for row in rows)),
        "contacts": sum(row["contacts"] for row in rows),
        "next_run": {"label": first["label"], "at": first["next_run_at"].isoformat()} if first else None,
        "runs": to_jsonable_python(list_runs(connection, limit=RUNS)),
    }


def _pairs(status: Mapping[str, Any]) -> dict[str, str]:
    first, database = status["next_run"], status["database"]
    where = "embedded" if database["embedded"] else database["url"]
    states = [f"{number:,} {state_words(state)}" for state, number in status["definitions"].items()]
    return {
        "Daemon": _daemon(status),
        "Definitions": ", ".join(states) or "none yet",
        "Contacts": f"{status['contacts']:,}",
        "Next run": f"{first['label']}, {until(first['at'])}" if first else NOTHING,
        "Database": f"{where} (PostgreSQL {status['postgresql_version']})",
        **({"SQL": status["psql"]} if status["psql"] else {}),
        "Settings": status["settings_file"] or "defaults (no settings.toml found)",
        "State directory": status["state_directory"],
        "Version": f"contactsync {status['version']}, Python {status['python_version']}",
    }


def _ask_daemon(invocation: Invocation) -> dict[str, Any] | None:
    """The daemon's own status; None if no daemon is running or the user may not ask it."""
    try:
        daemon = live_daemon(invocation.control_socket)
        return dict(daemon.get("/v1/status")) if daemon else None
    except ControlError as error:
        show_text(invocation.err, str(error), style="yellow")
        return None


def _daemon(status: Mapping[str, Any]) -> str:
    daemon = status["daemon"]
    if not daemon:
        return "running" if status["daemon_running"] else "not running on this database"
    running = [f"{run['label']} ({_progress(run)})" for run in daemon["running"]]
    clauses = [
        f"running, process {daemon['pid']}",
        f"synchronizing {', '.join(running)}" if running else "",
        f"{daemon['waiting']:,} waiting" if daemon["waiting"] else "",
        *_live(daemon["live"]),
        *daemon["problems"],
    ]
    return "; ".join(filter(None, clauses))


def _progress(run: Mapping[str, Any]) -> str:
    attempt = run["further_attempt"]
    doing = attempt_words(FurtherAttempt(**attempt)) if attempt else f"{run['entries']:,} read"
    return f"run {run['run_id']}, {doing}"


def _live(live: Mapping[str, Any]) -> list[str]:
    """How many folders get live updates and how many only poll; empty strings for none."""
    behind = f", {live['behind_seconds']:.1f} s behind" if live["behind_seconds"] else ""
    return [
        f"{counted(live['listening'], 'folder')} live{behind}" if live["listening"] else "",
        _polling(live["not_listening"], "not listening now"),
        _polling(live["auto_scheduled"], "no live updates"),
    ]


def _polling(folders: int, why: str) -> str:
    return f"{counted(folders, 'folder polls', 'folders poll')} ({why})" if folders else ""


def _psql(connection: Connection[Any]) -> str:
    """The command that opens the embedded database, whose address the user cannot know."""
    info = connection.info
    return psql_command(make_conninfo(host=info.host, user=info.user, dbname=info.dbname))


def _without_password(url: str) -> str:
    """The connection string in libpq's form of keywords and values, which a URL is equal to."""
    parameters = conninfo_to_dict(url)
    secret = {"password", "sslpassword", "oauth_client_secret"}
    return make_conninfo("", **{name: value for name, value in parameters.items() if name not in secret})
