"""Definitions and drafts without a daemon: add, edit, remove, pause; check, preview and browse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from contactsync.api.definition_fields import DefinitionChanges
from contactsync.bootstrap import bind_passwords, build_runner, run_options
from contactsync.cli.local.interrupt import cancelled_by_signals
from contactsync.errors import UsageError
from contactsync.model import Definition
from contactsync.operations import definitions
from contactsync.operations.declared.fields import NewDefinition
from contactsync.operations.names import find_by_id
from contactsync.operations.preview import Draft, PreviewDocument
from contactsync.operations.reading.definitions import NO_DAEMON
from contactsync.operations.reading.details import definition_details
from contactsync.text import printable

if TYPE_CHECKING:
    from contactsync.cli.local.api import LocalApi

Body = TypeVar("Body", bound=BaseModel)


def _validated(kind: type[Body], body: Mapping[str, Any]) -> Body:
    try:
        return kind.model_validate(body)
    except ValidationError as error:  # with the values, a password among them
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)]
    raise UsageError(printable("; ".join(problems)) + ".")


def _add(api: LocalApi, body: Mapping[str, Any]) -> Any:
    new = _validated(NewDefinition, body)
    definition = new.applied_to(Definition(folder_id=0, definition_id=0, folder=new.folder))
    passwords = bind_passwords(api.settings)
    with api.invocation.connection(create=True) as connection:
        added = definitions.add(connection, passwords, definition, new.password_text, api.invocation.actor)
        return definition_details(connection, added.definition_id, NO_DAEMON, api.settings)


def _edit(api: LocalApi, definition_id: int, body: Mapping[str, Any]) -> Any:
    stored, changes = find_by_id(api.connection, definition_id), _validated(DefinitionChanges, body)
    edited, passwords = changes.applied_to(stored), bind_passwords(api.settings)
    definitions.edit(api.connection, passwords, stored, edited, changes.password_text, api.invocation.actor)
    return definition_details(api.connection, definition_id, NO_DAEMON, api.settings)


def _remove(api: LocalApi, definition_id: int, *, keep_contacts: bool = False) -> Any:
    stored = find_by_id(api.connection, definition_id)
    definitions.remove(api.connection, stored, api.invocation.actor, keep_contacts=keep_contacts)
    return _ref(stored)


def _set_enabled(api: LocalApi, definition_id: int, *, enabled: bool) -> Any:
    stored = find_by_id(api.connection, definition_id)
    definitions.set_enabled(api.connection, [stored], api.invocation.actor, enabled=enabled)
    return _ref(stored)


def _ref(definition: Definition) -> dict[str, Any]:
    return {"definition_id": definition.definition_id, "label": definition.label}


def _draft(api: LocalApi, body: Mapping[str, Any]) -> Draft:
    """The draft of a request. Who has the key may try a stored password with other servers."""
    fields = {name: value for name, value in body.items() if name not in {"definition_id", "at", "limit"}}
    changes = _validated(DefinitionChanges, fields)
    definition_id = body.get("definition_id")
    if definition_id is None:
        stored = Definition(folder_id=0, definition_id=0, folder="")
    else:
        stored = find_by_id(api.connection, definition_id)
    return Draft(stored, changes.applied_to(stored), bind_passwords(api.settings), changes.password_text)


def _check(api: LocalApi, body: Mapping[str, Any]) -> Any:
    from contactsync.checks.check import check
    from contactsync.checks.document import CheckDocument

    draft = _draft(api, body)
    runner = build_runner(api.settings, api.pool) if draft.label else None
    preview = None if runner is None else lambda: draft.preview(runner, limit=0).report
    results = check(draft.definition, draft.password, run_options(api.settings), preview=preview)
    return CheckDocument.of(draft.label, list(results))


def _browse(api: LocalApi, body: Mapping[str, Any]) -> Any:
    from contactsync.checks.browser import browse

    draft = _draft(api, body)
    options = run_options(api.settings)
    return asdict(browse(draft.definition, draft.password, options, base=body.get("at"), limit=body["limit"]))


def _preview(api: LocalApi, definition_id: int, limit: int) -> Any:
    draft = _draft(api, {"definition_id": definition_id})
    runner = build_runner(api.settings, api.pool)
    with cancelled_by_signals(runner) as interruption:
        previewed = runner.preview(draft.definition, interruption, limit=limit)
    return PreviewDocument.of_preview(previewed)


ROUTES: dict[str, Callable[..., Any]] = {
    "POST /v1/definitions": _add,
    "PATCH /v1/definitions/{definition_id}": _edit,
    "DELETE /v1/definitions/{definition_id}": _remove,
    "POST /v1/definitions/{definition_id}/pause": lambda api, definition_id: _set_enabled(
        api, definition_id, enabled=False
    ),
    "POST /v1/definitions/{definition_id}/resume": lambda api, definition_id: _set_enabled(
        api, definition_id, enabled=True
    ),
    "POST /v1/definitions/{definition_id}/preview": _preview,
    "POST /v1/check": _check,
    "POST /v1/browse": _browse,
}
"""The function of each path; see contactsync.cli.local.api."""
