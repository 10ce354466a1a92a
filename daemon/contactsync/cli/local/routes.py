"""The paths that a command can ask without a daemon, and the function for each.

Each function calls the one of operations/ that the API's route of the same path calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import bind_passwords
from contactsync.cli.local.deeds import DEEDS
from contactsync.operations import audit, names, runs

if TYPE_CHECKING:
    from contactsync.cli.local.api import LocalApi

Function = Callable[..., Any]
"""Called with the LocalApi, the ids in the path and the query by their names, and `body` if there is one."""


def resolve(api: LocalApi, name: str) -> Any:
    """The one definition with a name."""
    return names.resolve(api.connection, name)


def list_runs(api: LocalApi, **query: Any) -> Any:
    """A page of runs."""
    return runs.runs_page(api.connection, **query)


def list_audit(api: LocalApi, **query: Any) -> Any:
    """A page of deeds."""
    return audit.audit_page(api.connection, **query)


def export(api: LocalApi, name: Sequence[str] = ()) -> Any:
    """Definitions in the form of a request."""
    from contactsync.operations.declared.export import export_definitions

    exported = export_definitions(api.connection, name)
    return {"definitions": [each.model_dump(exclude_unset=True) for each in exported]}


def plan(api: LocalApi, body: Any) -> Any:
    """What declared definitions would change."""
    from contactsync.operations.declared.fields import Declarations
    from contactsync.operations.declared.plan import compare

    return compare(api.connection, bind_passwords(api.settings).references, Declarations.model_validate(body)).plan


def apply(api: LocalApi, body: Any) -> Any:
    """Make the definitions the declared ones."""
    from contactsync.operations.declared.apply import apply_definitions
    from contactsync.operations.declared.fields import AppliedDeclarations

    passwords, declarations = bind_passwords(api.settings), AppliedDeclarations.model_validate(body)
    return apply_definitions(api.connection, passwords, declarations, api.invocation.actor)


ROUTES: dict[str, Function] = {
    "GET /v1/resolve": resolve,
    "GET /v1/runs": list_runs,
    "GET /v1/audit": list_audit,
    "GET /v1/definitions/export": export,
    "POST /v1/definitions/plan": plan,
    "POST /v1/definitions/apply": apply,
}


def find(method: str, path: str) -> tuple[Function | None, dict[str, int]]:
    """The function of a path, and the ids in it; None if there is no function."""
    parts = path.split("/")
    for route, function in (ROUTES | DEEDS).items():
        verb, _, template = route.partition(" ")
        names_of_parts = template.split("/")
        if verb == method and len(names_of_parts) == len(parts):
            pairs = [pair for pair in zip(names_of_parts, parts, strict=True) if pair[0] != pair[1]]
            if all(name.startswith("{") and part.isdecimal() for name, part in pairs):
                return function, {name.strip("{}"): int(part) for name, part in pairs}
    return None, {}
