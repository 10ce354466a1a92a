"""The paths that only read, and those of tokens, rights and nodes, which are as quick to load."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import bind_passwords, run_options
from contactsync.operations import audit, fleet, names, runs
from contactsync.operations.access import folder_rights, tokens
from contactsync.operations.reading.certificates import certificates
from contactsync.operations.reading.definitions import NO_DAEMON, definitions_page
from contactsync.operations.reading.runs import run_shown
from contactsync.operations.reading.status import installation
from contactsync.settings.in_force import settings_in_force

if TYPE_CHECKING:
    from contactsync.cli.local.api import LocalApi


def _definition(api: LocalApi, definition_id: int) -> Any:
    from contactsync.operations.reading.details import definition_details

    return definition_details(api.connection, definition_id, NO_DAEMON, api.settings)


def _explain(api: LocalApi, definition_id: int, who: str) -> Any:
    from contactsync.operations.reading.contacts import explained

    passwords, definition = bind_passwords(api.settings), names.find_by_id(api.connection, definition_id)
    read_password = partial(passwords.read, definition)
    return explained(api.connection, definition, who, read_password, run_options(api.settings))


def _history(api: LocalApi, definition_id: int, who: str) -> Any:
    from contactsync.operations.reading.contacts import history_shown

    return history_shown(api.connection, definition_id, who)


ROUTES: dict[str, Callable[..., Any]] = {
    "GET /v1/certificates": lambda api: certificates(api.connection, api.settings),
    "GET /v1/installation": lambda api: installation(api.connection, api.settings),
    "GET /v1/settings": lambda api: settings_in_force(api.settings),
    "GET /v1/resolve": lambda api, name: names.resolve(api.connection, name),
    "GET /v1/definitions": lambda api, **query: definitions_page(api.connection, NO_DAEMON, **query),
    "GET /v1/definitions/{definition_id}": _definition,
    "GET /v1/definitions/{definition_id}/explain": _explain,
    "GET /v1/definitions/{definition_id}/history": _history,
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
    "GET /v1/folders/{folder_id}/rights": lambda api, folder_id: folder_rights.folder_rights(api.connection, folder_id),
    "POST /v1/folders/{folder_id}/rights": lambda api, folder_id, body: folder_rights.give_right(
        api.connection, folder_id, folder_rights.FolderRight(**body), api.invocation.actor
    ),
    "DELETE /v1/folders/{folder_id}/rights": lambda api, folder_id, who, is_group: folder_rights.take_right(
        api.connection, folder_id, who, api.invocation.actor, is_group=is_group
    ),
    "GET /v1/fleet": lambda api: fleet.fleet_state(api.connection),
    "POST /v1/fleet/drain": lambda api, node: fleet.drain(api.connection, node, api.invocation.actor, draining=True),
    "POST /v1/fleet/forget": lambda api, node: fleet.forget(api.connection, node, api.invocation.actor),
    "POST /v1/fleet/resume": lambda api, node: fleet.drain(api.connection, node, api.invocation.actor, draining=False),
    "GET /v1/audit": lambda api, **query: audit.audit_page(api.connection, **query),
}
"""Each route calls the function of operations/ that the API's route of the same path calls."""
