"""One contact with its history, and photos."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.fields import FIELDS, photo_digest, photo_type
from contactsync.serving.client import DaemonError
from contactsync.web.pages.folders import Id
from contactsync.web.visit import CurrentVisit

router = APIRouter()

_PHOTO_HEADERS = {"Content-Security-Policy": "sandbox; default-src 'none'"}
_FOR_GOOD = {**_PHOTO_HEADERS, "Cache-Control": "private, max-age=31536000, immutable"}


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


@router.get("/photos/{folder_id}/{contact_id}/{digest}")
def photo(folder_id: Id, contact_id: Id, digest: str, visit: CurrentVisit) -> Response:
    """The photo, as the directory has it, if it is one; the browser keeps that with this digest until the sign-out."""
    octets = visit.daemon.octets(f"/v1/folders/{folder_id}/contacts/{contact_id}/photo")
    kind = photo_type(octets)
    if kind is None:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    headers = _FOR_GOOD if photo_digest(octets).hex() == digest else _PHOTO_HEADERS
    return Response(octets, media_type=kind, headers=headers)


def _deleted(folder_id: int, contact_id: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    fields = {name: change["before"] for name, change in events[-1]["fields"].items()}
    return {
        "folder_id": folder_id,
        "contact_id": contact_id,
        "definition_id": None,
        "photo_digest": None,
        "fields": fields,
    }
