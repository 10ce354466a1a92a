"""One contact with its history, and photos."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.client import DaemonError
from contactsync.fields import FIELDS
from contactsync.web.pages.folders import Id
from contactsync.web.visit import CurrentVisit

router = APIRouter()

_PHOTOS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif"}
_PHOTO_HEADERS = {"Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "private, max-age=300"}


@router.get("/contacts/{folder_id}/{contact_id}")
def contact(folder_id: Id, contact_id: Id, visit: CurrentVisit) -> Response:
    """A contact and what changed in it; of a deleted one, what is known of it."""
    path = f"/v1/folders/{folder_id}/contacts/{contact_id}"
    try:
        events = visit.daemon.get(f"{path}/history")
    except DaemonError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        events = []
    try:
        document, present = visit.daemon.get(path), True
    except DaemonError as error:
        if error.status != HTTPStatus.NOT_FOUND or not events:
            raise
        document, present = _deleted(folder_id, contact_id, events), False
    given = document["fields"]
    document["display_name"] = given.pop("display_name", None)
    document["fields"] = {name: given[name] for name in [*FIELDS, "extra", "source_dn"] if name in given}
    definition = None
    if document["definition_id"]:
        with suppress(DaemonError):
            definition = visit.daemon.get(f"/v1/definitions/{document['definition_id']}")
    return visit.render(
        "contact.html.j2", section="folders", contact=document, present=present, events=events, definition=definition
    )


@router.get("/photos/{folder_id}/{contact_id}")
def photo(folder_id: Id, contact_id: Id, visit: CurrentVisit) -> Response:
    """A photo, as the directory has it, if its first octets are those of a known format."""
    octets = visit.daemon.octets(f"/v1/folders/{folder_id}/contacts/{contact_id}/photo")
    kind = next((kind for start, kind in _PHOTOS.items() if octets.startswith(start)), None)
    if kind is None:
        return Response(status_code=404)
    return Response(octets, media_type=kind, headers=_PHOTO_HEADERS)


def _deleted(folder_id: int, contact_id: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    fields = {name: change["before"] for name, change in events[-1]["fields"].items()}
    return {
        "folder_id": folder_id,
        "contact_id": contact_id,
        "definition_id": None,
        "photo": False,
        "fields": fields,
    }
