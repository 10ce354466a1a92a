"""`contactsync folders show NAME`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import definition_of
from contactsync.cli.commands.folders.list import state_words
from contactsync.cli.output.summary import show_rejected
from contactsync.cli.output.tables import show_runs
from contactsync.cli.output.text import ago, show_json, show_pairs, show_text, until
from contactsync.model import DEFAULT_TLS_MINIMUM
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contactsync.cli.api import Api
    from contactsync.cli.context import Invocation

RUN_COLUMNS = ("Started", "Outcome", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
RUNS = 5
REJECTED = 20

_DEFAULT = " (default)"
_DECIDED_LATER = {"base": "the directory's naming context", "filter": "the mapping's"}
"""What the directory or the mapping decides in a run."""


def show_folder(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """Print one definition without its password. Raises UsageError if there is none, or more than one, of this name."""
    with invocation.api() as api:
        details = _read(api, definition_of(api, name)["definition_id"])
    if as_json:
        show_json(invocation.out, details)
        return
    runs = details["runs"]
    show_pairs(invocation.out, _state(details) | _fields(details))
    if runs:
        invocation.out.print()
        show_runs(invocation.out, runs, RUN_COLUMNS)
    for text in (runs[0]["error"], runs[0]["held_reason"]) if runs else ():
        if text and text != details["reason"]:
            invocation.out.print()
            show_text(invocation.out, text)
    if details["rejected"]:
        invocation.out.print()
        rejected = counted(runs[0]["rejected"], "entry", "entries")
        show_rejected(invocation.out, f"Rejected by the last run ({rejected}):", details["rejected"])


def _read(api: Api, definition_id: int) -> dict[str, Any]:
    """A definition with its last runs, and what the last run rejected."""
    details: dict[str, Any] = api.get(f"/v1/definitions/{definition_id}")
    details["daemon_running"] = api.is_daemon or api.get("/v1/installation")["daemon_running"]
    details["runs"] = api.get("/v1/runs", definition_id=definition_id, limit=RUNS)["runs"]
    last = details["runs"][0] if details["runs"] else None
    details["rejected"] = []
    if last and last["rejected"]:
        details["rejected"] = api.get(f"/v1/runs/{last['run_id']}/rejected", limit=REJECTED)["entries"]
    return details


def _state(details: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Folder": details["label"],
        "State": ": ".join(filter(None, [state_words(details["state"]), details["reason"]])),
        "Contacts": f"{details['contacts']:,}",
        "Next run": until(details["next_run_at"])
        if details["daemon_running"]
        else "none: no daemon runs on this database",
        "Last success": ago(details["last_success_at"]),
    }


def _fields(details: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a definition, with the value in effect where it has none of its own."""
    in_effect, mapping = details["in_effect"], details["mapping"]
    ids = (details["folder_id"], details["definition_id"], details["revision"])
    return {
        "Query": details["query"],
        **_search(details),
        "Mapping": json.dumps(mapping, ensure_ascii=False)
        if mapping
        else f"the preset for the kind of server{_DEFAULT}",
        "User": _user(details),
        "Password": details["password_ref"] or ("sealed" if details["password_stored"] else "none"),
        "Authentication": _authentication(details),
        "TLS": _tls(details),
        "Mode": details["mode"],
        "Schedule": _schedule(details),
        "Max. deleted": _limit(in_effect["max_delete_count"], "{:,} contacts"),
        "Max. share": _limit(in_effect["max_delete_share"], "{:.1%} of the contacts"),
        "Allow empty": "yes" if details["allow_empty"] else "no",
        "Deadline": _limit(in_effect["deadline_seconds"], "{:,} seconds"),
        "Page size": _limit(in_effect["page_size"], "{:,} entries" if in_effect["page_size"]["value"] else "no paging"),
        "Ids": "folder {}, definition {}, revision {}".format(*ids),
    }


def _search(details: Mapping[str, Any]) -> dict[str, str]:
    in_effect = details["in_effect"]
    shown = {name.capitalize(): _in_force(name, in_effect[name]) for name in ("base", "scope", "filter")}
    filters = in_effect["mapping_filter"]
    if filters is None and in_effect["mapping_error"] is None:
        return shown | {"Preset filter": "not used (filter-only)"}
    if in_effect["filter"]["value"]:
        shown["Filter"] += ", narrows the mapping's"
    return shown | {"Preset filter": in_effect["mapping_error"] or _mapping_filter(filters)}


def _in_force(name: str, in_force: Mapping[str, Any]) -> str:
    value = in_force["value"]
    if in_force["source"] == "definition":
        return "the empty base" if value == "" else str(value)
    if in_force["source"] == "query":
        return f"{value} (in the query)"
    return f"{_DECIDED_LATER[name] if value is None else value}{_DEFAULT}"


def _mapping_filter(filters: Mapping[str, str]) -> str:
    if len(set(filters.values())) == 1:
        return next(iter(filters.values()))
    return "; ".join(f"{name}: {text}" for name, text in filters.items())


def _user(details: Mapping[str, Any]) -> str:
    of_auth = {"simple": "none (anonymous)", "kerberos": "the ticket's", "external": "the certificate's"}
    return str(details["user"] or of_auth[details["auth"]])


def _authentication(details: Mapping[str, Any]) -> str:
    if details["tls_client_cert"] is None:
        return str(details["auth"])
    key = f" with the key {details['tls_client_key']}" if details["tls_client_key"] else ""
    return f"{details['auth']}, client certificate {details['tls_client_cert']}{key}"


def _tls(details: Mapping[str, Any]) -> str:
    if details["tls"] == "none":
        return "none"
    minimum = details["tls_minimum"] or DEFAULT_TLS_MINIMUM
    source = f" with {details['tls_ca_file']}" if details["tls_ca_file"] else ""
    source = " with the definition's own CA certificates" if details["tls_ca_pem"] else source
    verified = f"certificate verified{source}" if details["tls_verify"] else "certificate NOT verified"
    return f"{details['tls']}, {minimum} or later{'' if details['tls_minimum'] else _DEFAULT}, {verified}"


def _schedule(details: Mapping[str, Any]) -> str:
    jitter = f", delayed by up to {details['jitter_seconds']} s" if details["jitter_seconds"] else ""
    return f"{details['schedule']} ({details['time_zone']}){jitter}"


def _limit(in_force: Mapping[str, Any], form: str) -> str:
    return form.format(in_force["value"]) + ("" if in_force["source"] == "definition" else _DEFAULT)
