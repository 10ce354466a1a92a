"""Calls the functions of the paths, over a database that is opened at the first request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import to_jsonable_python

from contactsync.errors import ControlForbidden, EmbeddedServerForbidden, NeedsDaemon
from contactsync.settings.file import SettingsForbidden

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.cli.context import Invocation
    from contactsync.settings.schema import Settings
    from contactsync.store.pool import Pool

Function = Callable[..., Any]
"""Called with the LocalApi, the ids in the path and the query by their names, and `body` if there is one."""

_MODULES = ("reading", "deeds", "drafts", "declarations")
"""Each has ROUTES. They are imported in this order until one has the path: a command that reads loads no LDAP."""


class LocalApi:
    """See contactsync.cli.api.Api. A function of a path takes connections and settings from it."""

    is_daemon = False

    def __init__(self, invocation: Invocation, refused: ControlForbidden | None, *, create: bool = False) -> None:
        self.invocation = invocation
        self._create = create
        self._refused = refused
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @cached_property
    def connection(self) -> Connection[Any]:
        """One connection to the database, for functions that make no run."""
        with self._rights():
            return self._stack.enter_context(self.invocation.connection(create=self._create))

    @cached_property
    def pool(self) -> Pool:
        """Connections to the database, for a run."""
        with self._rights():
            return self._stack.enter_context(self.invocation.pool())

    @property
    def settings(self) -> Settings:
        """The settings of the command."""
        with self._rights():
            return self.invocation.settings

    def get(self, path: str, *, timeout: float | None = None, **query: Any) -> Any:
        """See Api."""
        del timeout
        return self._call("GET", path, query)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, timeout: float | None = None, **query: Any
    ) -> Any:
        """See Api."""
        del timeout
        return self._call("POST", path, query, body)

    def put(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """See Api."""
        return self._call("PUT", path, query, body)

    def patch(self, path: str, body: Mapping[str, Any], **query: Any) -> Any:
        """See Api."""
        return self._call("PATCH", path, query, body)

    def delete(self, path: str, **query: Any) -> Any:
        """See Api."""
        return self._call("DELETE", path, query)

    def _call(self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None = None) -> Any:
        function, ids = _function_of(method, path)
        if function is None:
            raise NeedsDaemon(
                f"No daemon listens at {self.invocation.control_socket}, and only a daemon can do this.",
                hint="Start it: systemctl start contactsync.service, or `contactsync daemon`.",
            )
        given = {name: value for name, value in query.items() if value is not None}
        bodies = {} if body is None else {"body": body}
        return to_jsonable_python(function(self, **ids, **given, **bodies))

    @contextmanager
    def _rights(self) -> Iterator[None]:
        """Explain an error of rights by the control socket, which users without rights on the files may use."""
        try:
            yield
        except (SettingsForbidden, EmbeddedServerForbidden) as error:
            if self._refused:
                raise self._refused from None
            raise ControlForbidden(
                f"No daemon listens at {self.invocation.control_socket}, and you may not open its database."
                f" {error.message}",
                hint="Start the daemon (systemctl start contactsync.service), or run this command as its user.",
            ) from None


def _function_of(method: str, path: str) -> tuple[Function | None, dict[str, int]]:
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
