"""The list of folders, the contacts of one, and its runs."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from contactsync.web.pages.overview import STATES
from contactsync.web.visit import CurrentVisit, Visit
from contactsync.web.words.days import HEIGHT, lanes

router = APIRouter()

PAGE = 50
_DAYS = 30
LARGEST_ID = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("/folders")
def folders(
    visit: CurrentVisit,
    *,
    q: Text = "",
    state: Text = "",
    after: Annotated[int, Query(ge=0)] = 0,
    removed: bool = False,
) -> Response:
    """Folders by id, those in one state or with a text."""
    state = state if state in STATES else ""
    page = visit.daemon.get("/v1/definitions", text=q.strip() or None, state=state or None, after=after, limit=PAGE)
    return visit.render(
        "folders.html.j2",
        section="folders",
        definitions=page["definitions"],
        q=q,
        state=state,
        states=STATES,
        removed=removed,
        first=link("/folders", q=q, state=state) if after else None,
        next=page["next_after"] and link("/folders", q=q, state=state, after=page["next_after"]),
    )


@router.get("/folders/{definition_id}")
def contacts(
    definition_id: Id, visit: CurrentVisit, q: Text = "", after: Annotated[str, Query(max_length=40_000)] = ""
) -> Response:
    """The contacts of a folder by name."""
    here = f"/folders/{definition_id}"
    page = visit.daemon.get(
        f"/v1/definitions/{definition_id}/contacts", text=q.strip() or None, after=after, limit=PAGE
    )
    return render_folder(
        visit,
        "contacts.html.j2",
        page["definition"],
        "contacts",
        contacts=page["contacts"],
        q=q,
        first=link(here, q=q) if after else None,
        next=page["next_after"] and link(here, q=q, after=page["next_after"]),
    )


@router.get("/folders/{definition_id}/runs")
def folder_runs(
    definition_id: Id, visit: CurrentVisit, before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None
) -> Response:
    """The runs of a folder, newest first, below the picture of the last days."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    page = visit.daemon.get("/v1/runs", definition_id=definition_id, before=before, limit=PAGE)
    days = [] if before else visit.daemon.get(f"/v1/definitions/{definition_id}/statistics", days=_DAYS)["days"]
    here = f"/folders/{definition_id}/runs"
    return render_folder(
        visit,
        "folder_runs.html.j2",
        definition,
        "runs",
        runs=page["runs"],
        days=days,
        lanes=lanes(days),
        height=HEIGHT,
        first=here if before else None,
        next=page["next_before"] and link(here, before=page["next_before"]),
    )


def render_folder(
    visit: Visit,
    template: str,
    definition: dict[str, Any],
    tab: str,
    *,
    status: int = 200,
    title: str = "",
    **values: Any,
) -> Response:
    """A page about a folder, with its heading and its tabs; `title` is that of a page behind a tab."""
    _ = visit.gettext
    may_edit = visit.may_edit(definition["folder_id"])
    tabs = [("contacts", "", _("Contacts"))]
    if may_edit:
        tabs += [("settings", "/settings", _("LDAP synchronization")), ("edits", "/edits", _("Edits"))]
    tabs += [
        ("progress", "/progress", _("Progress")),
        ("changes", "/changes", _("Changes")),
        ("runs", "/runs", _("Runs")),
    ]
    if may_edit:
        tabs.append(("explain", "/explain", _("Why is a person here?")))
    if visit.person.admin:
        tabs.append(("rights", "/rights", _("Rights")))
    words = title or next(words for name, _path, words in tabs if name == tab)
    return visit.render(
        template,
        status=status,
        section="folders",
        definition=definition,
        tab=tab,
        tabs=tabs,
        tab_words=words,
        behind=bool(title),
        may_edit=may_edit,
        **values,
    )


def link(path: str, **query: Any) -> str:
    """A link to a page with those parameters that are set."""
    chosen = {name: value for name, value in query.items() if value not in {None, ""}}
    return f"{path}?{urlencode(chosen)}" if chosen else path
