"""What each page gets: the person who has signed in, the daemon in that person's name, and how to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from contactsync.errors import AdministratorsOnly
from contactsync.serving.client import Daemon
from contactsync.web.context import PersonsDaemon, SignedIn, session_of
from contactsync.web.language import gettext
from contactsync.web.middleware.limits import LONG_REQUEST_SECONDS, allow_long
from contactsync.web.person import Person
from contactsync.web.rendering import render

_MOST_FIELDS = 400
"""Of a form; that of a mapping has two for each field of a contact."""


@dataclass(frozen=True)
class Visit:
    """One request of a person."""

    request: Request
    person: Person
    daemon: Daemon

    def render(self, template: str, *, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """A page."""
        return render(self.request, template, http_status=status, **values)

    def allow_long(self) -> float:
        """Give the answer to this request more time; the seconds that the daemon has."""
        allow_long(self.request.state)
        return LONG_REQUEST_SECONDS

    def take_kept(self) -> Mapping[str, str]:
        """What was typed into the form of this page before the last session ended, once."""
        session = session_of(self.request)
        return session.take_kept(self.request.url.path) if session else {}

    def redirect(self, path: str) -> Response:
        """The answer to a form that has done something: the browser asks for a page."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)

    def editable(self) -> Callable[[int], bool]:
        """Whether to show the forms of a folder, by its id. The daemon decides about each request all the same."""
        if self.person.admin:
            return lambda _folder_id: True
        return frozenset([*self._access["editor"], *self._access["owner"]]).__contains__

    def may_edit(self, folder_id: int) -> bool:
        """Whether to show the forms of a folder."""
        return self.editable()(folder_id)

    def require_editor(self, folder_id: int) -> None:
        """Raise AdministratorsOnly for a person who may only see a folder, whose settings the daemon does not give."""
        if not self.may_edit(folder_id):
            raise AdministratorsOnly(
                gettext("You may not edit this folder."), hint=gettext("Ask an administrator for the right to edit it.")
            )

    def may_decide(self, folder_id: int) -> bool:
        """Whether to show the buttons that approve, reject and undo runs of a folder."""
        return self.person.admin or folder_id in self._access["owner"]

    def may_map(self) -> bool:
        """Whether to show the mappings of the folders that the person may edit."""
        return self.person.admin or bool(self._access["mappings"])

    def may_remove(self, folder_id: int) -> bool:
        """Whether to show the way to remove a folder: for administrators, and owners who may add folders."""
        if self.person.admin:
            return True
        return self._access["personal_folders"] and folder_id in self._access["owner"]

    @cached_property
    def _access(self) -> dict[str, Any]:
        """What the person may do, read once for a page that asks several times."""
        access: dict[str, Any] = self.daemon.get("/v1/access")
        return access

    def gettext(self, text: str) -> str:
        """The text in the language of the request."""
        return gettext(text)


def _visit(request: Request, person: SignedIn, daemon: PersonsDaemon) -> Visit:
    return Visit(request, person, daemon)


CurrentVisit = Annotated[Visit, Depends(_visit)]


async def _form(request: Request) -> dict[str, str]:
    """The texts of a form; of a name that is there twice, the first one, as for a box and its hidden `false`."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        fields: dict[str, str] = {}
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields.setdefault(name, value)
        return fields


CurrentForm = Annotated[dict[str, str], Depends(_form)]
