"""The function for each path that a command can ask without a daemon."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Function = Callable[..., Any]
"""Called with the LocalApi, the ids in the path and the query by their names, and `body` if there is one."""

_MODULES = ("reading", "deeds", "drafts", "declarations")
"""Each has ROUTES. They are imported in this order until one has the path: a command that reads loads no LDAP."""


def find(method: str, path: str) -> tuple[Function | None, dict[str, int]]:
    """The function of a path, and the ids in it; None if there is no function."""
    parts = path.split("/")
    for module in _MODULES:
        routes: dict[str, Function] = import_module(f"contactsync.cli.local.{module}").ROUTES
        for route, function in routes.items():
            verb, _, template = route.partition(" ")
            names_of_parts = template.split("/")
            if verb == method and len(names_of_parts) == len(parts):
                pairs = [pair for pair in zip(names_of_parts, parts, strict=True) if pair[0] != pair[1]]
                if all(name.startswith("{") and part.isdecimal() for name, part in pairs):
                    return function, {name.strip("{}"): int(part) for name, part in pairs}
    return None, {}
