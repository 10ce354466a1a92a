"""`contactsync status`: the daemon, the folders, the last runs and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.cli.commands.folders.list import state_words
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import NOTHING, show_json, show_pairs, show_text, until
from contactsync.errors import ControlError, DatabaseError
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contactsync.cli.api import Api
    from contactsync.cli.context import Invocation

RUN_COLUMNS = ("Folder", "Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")


def show_status(invocation: Invocation, *, as_json: bool) -> None:
    """Print the status. Raises DatabaseError if neither the database nor a daemon can be reached."""
    with invocation.api() as api:
        status, problem = _read(api)
    if as_json:
        show_json(invocation.out, status)
    elif problem:
        show_pairs(invocation.out, {"Daemon": _daemon(status)})
    else:
        show_pairs(invocation.out, _pairs(status))
        if status["runs"]:
            invocation.out.print()
            show_runs(invocation.out, status["runs"], RUN_COLUMNS)
    if problem:
        show_text(invocation.err, f"Its database cannot be read: {problem}", style="yellow")


def _read(api: Api) -> tuple[dict[str, Any], str]:
    """The status, and why the daemon cannot read the database."""
    if not api.is_daemon:
        return {**_installation(api), "daemon": None}, ""
    daemon = {"daemon_running": True, "daemon": api.get("/v1/status")}
    try:
        return {**_installation(api), **daemon}, ""
    except ControlError as error:
        if not error.code.startswith(DatabaseError.code):
            raise
        return {**daemon, "database": None}, str(error)


def _installation(api: Api) -> dict[str, Any]:
    return {**api.get("/v1/installation"), **api.get("/v1/certificates")}


def _pairs(status: Mapping[str, Any]) -> dict[str, str]:
    first, database = status["next_run"], status["database"]
    where = f"{'embedded' if database['embedded'] else database['url']} (PostgreSQL {status['postgresql_version']})"
    stops = "; without a daemon it runs only while a command does"
    states = [f"{number:,} {state_words(state)}" for state, number in status["definitions"].items()]
    return {
        "Daemon": _daemon(status),
        **_nodes(status["daemon"]),
        "Definitions": ", ".join(states) or "none yet",
        "Contacts": f"{status['contacts']:,}",
        "Next run": f"{first['label']}, {until(first['at'])}" if first else NOTHING,
        "Database": where + (stops if database["embedded"] and not status["daemon_running"] else ""),
        **_certificates(status["certificates"]),
        **({"SQL": status["psql"]} if status["psql"] else {}),
        "Settings": status["settings_file"] or "defaults (no settings.toml found)",
        "State directory": status["state_directory"],
        "Version": f"contactsync {status['version']}, Python {status['python_version']}",
    }


def _certificates(certificates: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Those that need attention."""
    said = "; ".join(_certificate(each) for each in certificates if each["attention"])
    return {"Certificates": said} if said else {}


def _certificate(used: Mapping[str, Any]) -> str:
    if used["problem"]:
        return f"{used['used_by']}: {used['problem'].rstrip('.')}"
    left = until(used["expires_at"])
    end = "has expired" if left == "due" else f"expires {left}"
    return f"{used['used_by']}: {used['file'] or used['subject']} {end}"


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
    doing = f"{run['entries']:,} read"
    if attempt := run["further_attempt"]:
        from contactsync.cli.output.progress import attempt_words
        from contactsync.model import FurtherAttempt

        doing = attempt_words(FurtherAttempt(**attempt))
    node = f" on {run['node']}" if run["node"] else ""
    return f"run {run['run_id']}{node}, {doing}"


def _nodes(daemon: Mapping[str, Any] | None) -> dict[str, str]:
    """The nodes of the fleet, the one that answers first."""
    if not (daemon and daemon["nodes"]):
        return {}
    nodes = sorted(daemon["nodes"], key=lambda node: (node["name"] != daemon["node"], node["name"]))
    return {"Nodes": "; ".join(map(_node, nodes))}


def _node(node: Mapping[str, Any]) -> str:
    clauses = [
        "" if node["state"] == "alive" else node["state"],
        "schedule" if node["leads"] else "",
        f"{node['running']:,} running" if node["running"] else "",
        f"{counted(node['listening'], 'folder')} live" if node["listening"] else "",
    ]
    said = ", ".join(filter(None, clauses))
    return f"{node['name']} ({said})" if said else str(node["name"])


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
