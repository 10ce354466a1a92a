"""The API as commands see it, whether the daemon answers or this process over the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

_PAGE = 1000
"""The largest page of the API."""


class Api(Protocol):
    """Requests and their answers, which are plain JSON values. All methods raise ContactsyncError.

    A query parameter of None is left out. `timeout` is in seconds, None for no limit.
    """

    @property
    def is_daemon(self) -> bool:
        """Whether the daemon answers."""

    def get(self, path: str, *, timeout: float | None = ..., **query: Any) -> Any:
        """The document at a path."""

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, timeout: float | None = ..., **query: Any
    ) -> Any:
        """The answer to a POST."""

    def put(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """The answer to a PUT."""

    def patch(self, path: str, body: Mapping[str, Any], **query: Any) -> Any:
        """The answer to a PATCH."""

    def delete(self, path: str, **query: Any) -> Any:
        """The answer to a DELETE."""


def items(api: Api, path: str, key: str, *, most: int | None = None, **query: Any) -> Iterator[Any]:
    """The first `most` items of a list (None: all), page by page; `key` is the list's name in the document of a page.

    Raises as Api.get does.
    """
    left = most
    cursor: dict[str, Any] = {}
    while left is None or left > 0:
        page = api.get(path, **query, **cursor, limit=_PAGE if left is None else min(left, _PAGE))
        yield from page[key]
        left = None if left is None else left - len(page[key])
        cursor = {
            name.removeprefix("next_"): value
            for name, value in page.items()
            if name.startswith("next_") and value is not None
        }
        if not cursor:
            return


def definition_of(api: Api, name: str) -> dict[str, Any]:
    """The id, the folder's id and the label of the one definition with this name. Raises NotFound, UsageError."""
    found: dict[str, Any] = api.get("/v1/resolve", name=name)
    return found
