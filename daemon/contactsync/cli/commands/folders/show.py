"""`contactsync folders show NAME`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from contactsync.cli.commands.folders.list import state_words
from contactsync.cli.output.summary import show_rejected
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import ago, show_json, show_pairs, show_text, until
from contactsync.errors import MappingError, QueryError
from contactsync.ldap.query.query import Scope, parse_query
from contactsync.mapping.mapping import compile_mapping
from contactsync.model import DEFAULT_TLS_MINIMUM, Auth, Tls
from contactsync.operations.names import find_one
from contactsync.operations.runs import list_runs, rejected_entries
from contactsync.settings.schema import MappingLimits
from contactsync.store.definitions import read_overview
from contactsync.store.health import daemon_listens
from contactsync.text import counted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.cli.context import Invocation
    from contactsync.model import Definition
    from contactsync.settings.schema import Settings
    from contactsync.sync.document import RejectedEntry, RunDocument

RUN_COLUMNS = ("Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUNS = 5
REJECTED = 20

_DEFAULT = " (default)"


@dataclass(frozen=True, slots=True)
class _Details:
    """A definition with its row of `definition_overview`, its last runs, and what the last run rejected."""

    definition: Definition
    row: dict[str, Any]
    runs: list[RunDocument]
    rejected: list[RejectedEntry]
    daemon_running: bool


def show_folder(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """Print one definition without its password. Raises UsageError if there is none, or more than one, of this name."""
    with invocation.connection() as connection:
        details = _read(connection, find_one(connection, name))
    if as_json:
        show_json(invocation.out, _document(details))
        return
    show_pairs(invocation.out, _state(details) | _fields(details.definition, invocation.settings))
    if details.runs:
        invocation.out.print()
        show_runs(invocation.out, [run.model_dump(mode="json") for run in details.runs], RUN_COLUMNS)
    for text in (details.runs[0].error, details.runs[0].held_reason) if details.runs else ():
        if text and text != details.row["reason"]:
            invocation.out.print()
            show_text(invocation.out, text)
    if details.rejected:
        invocation.out.print()
        rejected = counted(details.runs[0].rejected, "entry", "entries")
        show_rejected(invocation.out, f"Rejected by the last run ({rejected}):", details.rejected)


def _read(connection: Connection[Any], definition: Definition) -> _Details:
    (row,) = to_jsonable_python(read_overview(connection, [definition.definition_id]))
    runs = list_runs(connection, [definition.definition_id], limit=RUNS)
    rejected = rejected_entries(connection, runs[0], limit=REJECTED) if runs else []
    return _Details(definition, row, runs, rejected, daemon_listens(connection))


def _state(details: _Details) -> dict[str, str]:
    row = details.row
    return {
        "Folder": row["label"],
        "State": ": ".join(filter(None, [state_words(row["state"]), row["reason"]])),
        "Contacts": f"{row['contacts']:,}",
        "Next run": until(row["next_run_at"]) if details.daemon_running else "none: no daemon runs on this database",
        "Last success": ago(row["last_success_at"]),
    }


def _fields(definition: Definition, settings: Settings) -> dict[str, str]:
    """The fields of a definition, with the value in effect where it has none of its own."""
    guard, directory = settings.guard, settings.directory
    return {
        "Query": definition.query,
        **_search(definition),
        "Mapping": json.dumps(definition.mapping, ensure_ascii=False)
        if definition.mapping
        else f"the preset for the kind of server{_DEFAULT}",
        "User": _user(definition),
        "Password": definition.password_ref or ("sealed" if definition.brings_password else "none"),
        "Authentication": _authentication(definition),
        "TLS": _tls(definition),
        "Mode": definition.mode,
        "Schedule": _schedule(definition),
        "Max. deleted": _limit(definition.max_delete_count, guard.delete_count, "{:,} contacts"),
        "Max. share": _limit(definition.max_delete_share, guard.delete_share, "{:.1%} of the contacts"),
        "Allow empty": "yes" if definition.allow_empty else "no",
        "Deadline": _limit(definition.deadline_seconds, directory.deadline_seconds, "{:,} seconds"),
        "Page size": _page_size(definition.page_size, directory.page_size),
        "Ids": f"folder {definition.folder_id}, definition {definition.definition_id}, revision {definition.revision}",
    }


def _search(definition: Definition) -> dict[str, str]:
    """Base, scope and filter: from their own fields, the query, or the default, in this order."""
    try:
        query = parse_query(definition.query)
    except QueryError:
        query = None
    rows = (
        (
            "Base",
            "the empty base" if definition.base == "" else definition.base,
            query and query.base,
            "the directory's naming context",
        ),
        ("Scope", definition.scope, query and query.scope, Scope.SUB),
        ("Filter", definition.filter, query and query.filter, "the mapping's"),
    )
    shown = {
        name: own or (f"{in_query} (in the query)" if in_query else f"{default}{_DEFAULT}")
        for name, own, in_query, default in rows
    }
    if not (definition.filter or (query and query.filter)):
        return shown | {"Preset filter": _mapping_filter(definition)}
    if definition.filter_only:
        return shown | {"Preset filter": "not used (filter-only)"}
    return shown | {
        "Filter": f"{shown['Filter']}, narrows the mapping's",
        "Preset filter": _mapping_filter(definition),
    }


def _mapping_filter(definition: Definition) -> str:
    """For both kinds of servers if they differ: only a run knows the kind."""
    kinds = {"Active Directory": True, "other servers": False}
    try:
        filters = {
            str(compile_mapping(definition.mapping, active_directory=kind, limits=MappingLimits()).filter): name
            for name, kind in kinds.items()
        }
    except MappingError as error:
        return error.message
    return next(iter(filters)) if len(filters) == 1 else "; ".join(f"{name}: {text}" for text, name in filters.items())


def _user(definition: Definition) -> str:
    of_auth = {Auth.SIMPLE: "none (anonymous)", Auth.KERBEROS: "the ticket's", Auth.EXTERNAL: "the certificate's"}
    return definition.user or of_auth[definition.auth]


def _authentication(definition: Definition) -> str:
    if definition.tls_client_cert is None:
        return definition.auth.value
    key = f" with the key {definition.tls_client_key}" if definition.tls_client_key else ""
    return f"{definition.auth.value}, client certificate {definition.tls_client_cert}{key}"


def _tls(definition: Definition) -> str:
    if definition.tls is Tls.NONE:
        return "none"
    minimum = definition.tls_minimum or DEFAULT_TLS_MINIMUM
    source = f" with {definition.tls_ca_file}" if definition.tls_ca_file else ""
    source = " with the definition's own CA certificates" if definition.tls_ca_pem else source
    verified = f"certificate verified{source}" if definition.tls_verify else "certificate NOT verified"
    return f"{definition.tls.value}, {minimum} or later{'' if definition.tls_minimum else _DEFAULT}, {verified}"


def _schedule(definition: Definition) -> str:
    jitter = f", delayed by up to {definition.jitter_seconds} s" if definition.jitter_seconds else ""
    return f"{definition.schedule} ({definition.time_zone}){jitter}"


def _page_size(own: int | None, default: int) -> str:
    if own == 0 or (own is None and default == 0):
        return _limit(own, default, "no paging")
    return _limit(own, default, "{:,} entries")


def _limit(own: float | None, default: float, form: str) -> str:
    return f"{form.format(default)}{_DEFAULT}" if own is None else form.format(own)


def _document(details: _Details) -> dict[str, Any]:
    definition = details.definition
    in_row = {"name", "user", "password_new"}  # as `definition`, `bind_user` and `password_stored`
    own = {field.name: getattr(definition, field.name) for field in fields(definition) if field.name not in in_row}
    return {
        **details.row,
        **own,
        "password_sealed": definition.password_sealed is not None,
        "daemon_running": details.daemon_running,
        "runs": [run.model_dump() for run in details.runs],
        "rejected": [entry.model_dump() for entry in details.rejected],
    }
