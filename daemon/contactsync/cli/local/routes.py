"""The paths that a command can ask without a daemon, and the function for each.

Each function calls the one of operations/ that the API's route of the same path calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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


ROUTES: Mapping[str, Function] = {
    "GET /v1/resolve": resolve,
    "GET /v1/runs": list_runs,
    "GET /v1/audit": list_audit,
}


def find(method: str, path: str) -> tuple[Function | None, dict[str, int]]:
    """The function of a path, and the ids in it; None if there is no function."""
    parts = path.split("/")
    for route, function in ROUTES.items():
        verb, _, template = route.partition(" ")
        names_of_parts = template.split("/")
        if verb == method and len(names_of_parts) == len(parts):
            pairs = [pair for pair in zip(names_of_parts, parts, strict=True) if pair[0] != pair[1]]
            if all(name.startswith("{") and part.isdecimal() for name, part in pairs):
                return function, {name.strip("{}"): int(part) for name, part in pairs}
    return None, {}
