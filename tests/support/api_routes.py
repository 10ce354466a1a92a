"""Every route of the API, with a request for it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import httpx
from fastapi.routing import APIRoute

from contactsync.api.access.needs import NEEDS, Need, Target
from contactsync.api.app import create_app

BODIES: dict[str, dict[str, Any]] = {
    "edit_definition": {"schedule": "manual"},
    "set_password": {"password": "a long password"},
    "check_draft": {},
    "preview_draft": {},
    "browse_directory": {},
    "sample_draft": {},
}


class Route(NamedTuple):
    """A route of the application."""

    name: str
    method: str
    path: str

    def request(self, client: httpx.Client, ids: dict[str, int], **options: Any) -> httpx.Response:
        """Call it with these ids in the path."""
        body = BODIES.get(self.name)
        query = {"who": str(ids.get("contact_id", "Anna")), "name": "nobody"}
        path = self.path.format(**{"name": "nobody", **ids})
        return client.request(self.method, f"/v1{path}", json=body, params=query, **options)

    @property
    def need(self) -> Need:
        """What it needs of a token."""
        return NEEDS.get(self.name, Need(None, Target.SOCKET))


def routes() -> Iterator[Route]:
    """Every route of the application, except for the OpenAPI document itself."""
    app = create_app(cast("Any", SimpleNamespace(pool=None)))
    for included in app.routes[1:]:
        for route in cast("Any", included).original_router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                yield Route(route.name, method, route.path)
