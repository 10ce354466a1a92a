"""The paths that a command can ask without a daemon, and the function for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import bind_passwords, run_options
from contactsync.cli.local.declarations import DECLARATIONS
from contactsync.cli.local.deeds import DEEDS
from contactsync.cli.local.drafts import DRAFTS
from contactsync.operations import audit, fleet, names, runs
from contactsync.operations.access import tokens
from contactsync.operations.reading import contacts, definitions
from contactsync.operations.reading.runs import run_shown
from contactsync.operations.reading.status import installation
from contactsync.settings.in_force import settings_in_force

if TYPE_CHECKING:
    from contactsync.cli.local.api import LocalApi

Function = Callable[..., Any]
"""Called with the LocalApi, the ids in the path and the query by their names, and `body` if there is one."""


def _definition(api: LocalApi, definition_id: int) -> Any:
    return definitions.definition_details(api.connection, definition_id, definitions.NO_DAEMON, api.settings)


def _explain(api: LocalApi, definition_id: int, who: str) -> Any:
    passwords, options = bind_passwords(api.settings), run_options(api.settings)
    definition = names.find_by_id(api.connection, definition_id)
    return contacts.explained(api.connection, definition, who, partial(passwords.read, definition), options)


ROUTES: dict[str, Function] = {
    "GET /v1/installation": lambda api: installation(api.connection, api.settings),
    "GET /v1/settings": lambda api: settings_in_force(api.settings),
    "GET /v1/resolve": lambda api, name: names.resolve(api.connection, name),
    "GET /v1/definitions": lambda api, **query: definitions.definitions_page(
        api.connection, definitions.NO_DAEMON, **query
    ),
    "GET /v1/definitions/{definition_id}": _definition,
    "GET /v1/definitions/{definition_id}/explain": _explain,
    "GET /v1/definitions/{definition_id}/history": lambda api, definition_id, who: contacts.history_shown(
        api.connection, definition_id, who
    ),
    "GET /v1/runs": lambda api, **query: runs.runs_page(api.connection, **query),
    "GET /v1/runs/{run_id}": lambda api, run_id, **query: runs.changes_page(api.connection, run_id, **query),
    "GET /v1/runs/{run_id}/details": lambda api, run_id, **query: run_shown(api.connection, run_id, **query),
    "GET /v1/runs/{run_id}/rejected": lambda api, run_id, **query: runs.rejected_page(api.connection, run_id, **query),
    "GET /v1/runs/{run_id}/trimmed": lambda api, run_id, **query: runs.trimmed_page(api.connection, run_id, **query),
    "GET /v1/tokens": lambda api: tokens.list_tokens(api.connection),
    "POST /v1/tokens": lambda api, body: tokens.create_token(
        api.connection, tokens.TokenRequest(**body), api.invocation.actor
    ),
    "DELETE /v1/tokens": lambda api, name: tokens.revoke_token(api.connection, name, api.invocation.actor),
    "GET /v1/fleet": lambda api: fleet.fleet_state(api.connection),
    "POST /v1/fleet/drain": lambda api, node: fleet.drain(api.connection, node, api.invocation.actor, draining=True),
    "POST /v1/fleet/resume": lambda api, node: fleet.drain(api.connection, node, api.invocation.actor, draining=False),
    "GET /v1/audit": lambda api, **query: audit.audit_page(api.connection, **query),
}
"""Each route calls the function of operations/ that the API's route of the same path calls."""


def find(method: str, path: str) -> tuple[Function | None, dict[str, int]]:
    """The function of a path, and the ids in it; None if there is no function."""
    parts = path.split("/")
    for route, function in (DECLARATIONS | ROUTES | DEEDS | DRAFTS).items():
        verb, _, template = route.partition(" ")
        names_of_parts = template.split("/")
        if verb == method and len(names_of_parts) == len(parts):
            pairs = [pair for pair in zip(names_of_parts, parts, strict=True) if pair[0] != pair[1]]
            if all(name.startswith("{") and part.isdecimal() for name, part in pairs):
                return function, {name.strip("{}"): int(part) for name, part in pairs}
    return None, {}
