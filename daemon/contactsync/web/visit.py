"""What each page gets: the person who has signed in, the daemon in that person's name, and how to answer."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from contactsync.client import Daemon
from contactsync.web.context import PersonsDaemon, SignedIn
from contactsync.web.language import gettext
from contactsync.web.person import Person
from contactsync.web.rendering import render


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person."""

    request: Request
    person: Person
    daemon: Daemon

    def render(self, template: str, *, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """A page."""
        return render(self.request, template, http_status=status, **values)

    def redirect(self, path: str) -> Response:
        """The answer to a form that has done something: the browser asks for a page."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)

    def may_edit(self, folder_id: int) -> bool:
        """Whether to show the forms of a folder. The daemon decides about each request all the same."""
        return self.person.admin or folder_id in {*self._access["editor"], *self._access["owner"]}

    def may_decide(self, folder_id: int) -> bool:
        """Whether to show the buttons that approve, reject and undo runs of a folder."""
        return self.person.admin or folder_id in self._access["owner"]

    @property
    def _access(self) -> dict[str, Any]:
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
    async with request.form(max_files=0, max_fields=100) as form:
        fields: dict[str, str] = {}
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields.setdefault(name, value)
        return fields


CurrentForm = Annotated[dict[str, str], Depends(_form)]
