"""`contactsync folders show NAME`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.summary import run_document, show_rejected
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import ago, counted, show_json, show_pairs, show_text, until
from contactsync.model import Tls
from contactsync.operations.names import find_one
from contactsync.operations.overview import as_document, state_of
from contactsync.store.definitions import read_overview
from contactsync.store.looks import daemon_listens, rejected_of_run
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import latest_runs

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.cli.context import Invocation
    from contactsync.model import Definition

RUN_COLUMNS = ("Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUNS = 5
REJECTED = 20
DEFAULT = "default"
"""Stands for a limit that settings.toml decides."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All there is to show of a definition."""

    definition: Definition
    row: dict[str, Any]
    runs: list[dict[str, Any]]
    rejected: list[tuple[str, str]]
    listens: bool


def show_folder(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """One definition with everything but its password. Raises UsageError when there is none of this name."""
    with invocation.pool() as pool, connection_of(pool) as connection:
        seen = _look(connection, find_one(connection, name))
    if as_json:
        show_json(invocation.out, _document(seen))
        return
    show_pairs(invocation.out, _pairs(seen))
    if seen.runs:
        invocation.out.print()
        show_runs(invocation.out, seen.runs, RUN_COLUMNS)
    _show_reasons(invocation, seen)


def _look(connection: Connection[Any], definition: Definition) -> Seen:
    row = next(row for row in read_overview(connection) if row["definition_id"] == definition.definition_id)
    runs = latest_runs(connection, definition_id=definition.definition_id, limit=RUNS)
    rejected = (
        rejected_of_run(connection, folder_id=definition.folder_id, run_id=runs[0]["run_id"], limit=REJECTED)
        if runs
        else []
    )
    return Seen(definition, row, runs, rejected, daemon_listens(connection))


def _show_reasons(invocation: Invocation, seen: Seen) -> None:
    last = seen.runs[0] if seen.runs else {}
    for text in (last.get("error"), last.get("held_reason")):
        if text:
            invocation.out.print()
            show_text(invocation.out, text)
    if seen.rejected:
        invocation.out.print()
        rejected = counted(last["rejected"], "entry", "entries")
        show_rejected(invocation.out, f"Rejected by the last run ({rejected}):", seen.rejected)


def _pairs(seen: Seen) -> dict[str, str]:
    definition, row = seen.definition, seen.row
    state = state_of(row).value
    return {
        "Folder": definition.label,
        "State": f"{state}: {row['reason']}" if row["reason"] else state,
        "Contacts": f"{row['contacts']:,}",
        "Next run": until(row["next_run_at"]) if seen.listens else "none: no daemon is running on this database",
        "Last success": ago(row["last_success_at"]),
        "Query": definition.query,
        "User": definition.user or "none (anonymous)",
        "Password": _password(definition),
        "Base": definition.base or "from the query, or the directory's own",
        "Scope": definition.scope or "from the query, or sub",
        "Filter": definition.filter or "from the query, or the mapping's",
        "Mapping": json.dumps(definition.mapping, ensure_ascii=False) if definition.mapping else DEFAULT,
        "Shown by": _auth(definition),
        "TLS": _tls(definition),
        "Mode": definition.mode,
        "Schedule": _schedule(definition),
        "Max. deleted": _or_default(definition.max_delete_count, "contacts"),
        "Max. share": _or_default(definition.max_delete_share, "of all"),
        "May be empty": "yes" if definition.allow_empty else "no",
        "Deadline": _or_default(definition.deadline_seconds, "seconds"),
        "Page size": _or_default(definition.page_size, "entries"),
        "Ids": f"folder {definition.folder_id}, definition {definition.definition_id}, revision {definition.revision}",
    }


def _password(definition: Definition) -> str:
    if definition.password_ref:
        return definition.password_ref
    return "sealed" if definition.password_sealed is not None else "none"


def _tls(definition: Definition) -> str:
    if definition.tls is Tls.NONE:
        return "none"
    least = f", {definition.tls_minimum} or later" if definition.tls_minimum else ""
    trusted = f", authorities of {definition.tls_ca_file}" if definition.tls_ca_file else ""
    trusted = ", authorities of the definition's own" if definition.tls_ca_pem else trusted
    checked = "checked" if definition.tls_verify else "NOT checked"
    return f"{definition.tls.value}{least}, certificate {checked}{trusted}"


def _auth(definition: Definition) -> str:
    if definition.tls_client_cert is None:
        return definition.auth.value
    key = f" with the key {definition.tls_client_key}" if definition.tls_client_key else ""
    return f"{definition.auth.value}, client certificate {definition.tls_client_cert}{key}"


def _schedule(definition: Definition) -> str:
    jitter = f", up to {definition.jitter_seconds} s later" if definition.jitter_seconds else ""
    return f"{definition.schedule} ({definition.time_zone}){jitter}"


def _or_default(value: float | None, unit: str) -> str:
    return DEFAULT if value is None else f"{value:,} {unit}"


def _document(seen: Seen) -> dict[str, Any]:
    definition = seen.definition
    own = {field.name: getattr(definition, field.name) for field in fields(definition)}
    own["password_sealed"] = definition.password_sealed is not None
    return {
        **as_document(seen.row),
        **{name: value for name, value in own.items() if name != "name"},
        "daemon_running": seen.listens,
        "runs": [run_document(run) for run in seen.runs],
        "rejected": [{"dn": dn, "reason": reason} for dn, reason in seen.rejected],
    }
