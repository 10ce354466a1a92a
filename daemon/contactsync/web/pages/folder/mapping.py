"""The mapping of a folder: the sources of each field, a sample of people as contacts, and its save."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from markupsafe import Markup

from contactsync.errors import AdministratorsOnly
from contactsync.serving.client import DaemonError
from contactsync.web.pages.folder.mapping_form import MappingForm, NotRows, form_of, typed_form
from contactsync.web.pages.folders import Id, render_folder
from contactsync.web.visit import CurrentForm, CurrentVisit, Visit
from contactsync.web.words.problems import in_words, problem_of

router = APIRouter()

_PEOPLE = 5
_SHOWN = 50


@router.get("/folders/{definition_id}/mapping")
def mapping(definition_id: Id, visit: CurrentVisit, *, saved: bool = False) -> Response:
    """The mapping in force, in rows; as text if rows cannot show it."""
    page = _Page(visit, definition_id)
    kept = visit.take_kept()
    if kept:
        page.take(kept)
    else:
        page.show(page.stored)
    return page.render(saved=saved)


@router.post("/folders/{definition_id}/mapping")
def edit(definition_id: Id, visit: CurrentVisit, form: CurrentForm) -> Response:
    """Show people as they would look, show what would change, or save. Rows become text, and text rows."""
    page = _Page(visit, definition_id)
    made = page.take(form)
    do = form.get("do", "")
    if do in {"text", "rows"}:
        if not page.errors:
            page.show(made, as_text=do == "text")
        return page.render()
    if page.errors:
        return page.render(status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        if do == "sample":
            return page.render(sample=page.sample(made))
        if do == "preview":
            return page.render(preview=page.preview(made))
        if not page.is_stored(made):
            visit.daemon.patch(f"/v1/definitions/{definition_id}", {"mapping": made})
    except DaemonError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return page.render(problem=page.failure(error), status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return visit.redirect(f"/folders/{definition_id}/mapping?saved=true")


class _Page:
    """The page, with the form in rows or as text, and the sentences for inputs that are not valid."""

    def __init__(self, visit: Visit, definition_id: int) -> None:
        self._visit = visit
        self._definition: dict[str, Any] = visit.daemon.get(f"/v1/definitions/{definition_id}")
        visit.require_editor(self._definition["folder_id"])
        if not visit.may_map():
            raise AdministratorsOnly(
                visit.gettext("You may not edit the mapping of this folder."),
                hint=visit.gettext("Ask an administrator."),
            )
        self._parts = visit.daemon.get("/v1/mapping")
        self.stored: dict[str, Any] | None = self._definition["mapping"]
        self._rows: MappingForm | None = None
        self._text = ""
        self.errors: dict[str, str] = {}
        """A sentence for each input that is not valid, by its id."""

    def show(self, mapping: dict[str, Any] | None, *, as_text: bool = False) -> None:
        """Fill the form with a mapping."""
        self._rows, self._text = None, json.dumps(mapping or {}, indent=2, ensure_ascii=False)
        if as_text:
            return
        try:
            self._rows = form_of(self._parts, mapping)
        except NotRows:
            if mapping != self.stored:
                self.errors["text"] = self._visit.gettext("This cannot be shown in rows. It can be edited as text.")

    def take(self, typed: Any) -> dict[str, Any] | None:
        """Fill the form with what was typed; the mapping that it says."""
        if "text" in typed:
            self._text = typed["text"]
            return self._parsed()
        self._rows = typed_form(self._parts, typed)
        made = self._rows.mapping()
        rows = (*self._rows.rows.values(), *self._rows.extras)
        self.errors = {f"{row.key}.sources": row.error for row in rows if row.error}
        return made

    def _parsed(self) -> dict[str, Any] | None:
        try:
            made = json.loads(self._text) if self._text.strip() else {}
        except (ValueError, RecursionError) as error:
            at = f" ({error.lineno}:{error.colno})" if isinstance(error, json.JSONDecodeError) else ""
            self.errors["text"] = self._visit.gettext("This is not valid JSON.") + at
            return None
        if not isinstance(made, dict):
            self.errors["text"] = self._visit.gettext("A mapping is a JSON object in braces.")
            return None
        return made or None

    def sample(self, mapping: dict[str, Any] | None) -> Any:
        """The first people as this mapping, which is not saved, makes contacts of them."""
        draft = {**self._draft(mapping), "limit": _PEOPLE}
        return self._visit.daemon.post("/v1/sample", draft, timeout=self._visit.allow_long())

    def preview(self, mapping: dict[str, Any] | None) -> Any:
        """What a run with this mapping, which is not saved, would change."""
        seconds = self._visit.allow_long()
        return self._visit.daemon.post("/v1/preview", self._draft(mapping), timeout=seconds, limit=_SHOWN)

    def _draft(self, mapping: dict[str, Any] | None) -> dict[str, Any]:
        return {"definition_id": self._definition["definition_id"], "mapping": mapping}

    def is_stored(self, mapping: dict[str, Any] | None) -> bool:
        """Whether the mapping is the stored one, which may be written in another way."""
        try:
            return mapping == self.stored or (
                self._rows is not None and form_of(self._parts, self.stored).mapping() == mapping
            )
        except NotRows:
            return False

    def failure(self, error: DaemonError) -> dict[str, str] | None:
        """Mark what the daemon says about inputs; the problem as a whole if there is no input for it."""
        unmarked = []
        for each in error.errors:
            top, *part = (each.get("pointer") or "").removeprefix("/").split("/")
            part = [key.replace("~1", "/").replace("~0", "~") for key in part]
            sentence = in_words(each.get("code") or error.code, each["detail"], each.get("hint") or "")
            place = "" if top != "mapping" else self._rows.mark(part, sentence) if self._rows else "text"
            if place in self.errors:  # the text as a whole
                self.errors[place] = Markup("{} {}").format(self.errors[place], sentence)
            elif place:
                self.errors[place] = sentence
            else:
                unmarked.append(sentence)
        if error.errors and not unmarked:
            return None
        return {"detail": unmarked[0], "hint": ""} if unmarked else problem_of(error)

    def render(self, *, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """The page."""
        return render_folder(
            self._visit,
            "mapping.html.j2",
            self._definition,
            "settings",
            status=status,
            title=self._visit.gettext("Mapping"),
            form=self._rows,
            text=self._text,
            errors=self.errors,
            names=self._names(),
            parts=self._parts,
            **{"saved": False, "sample": None, "preview": None, "problem": None, **values},
        )

    def _names(self) -> dict[str, str]:
        """The words of the inputs that may be wrong, by their ids."""
        _ = self._visit.gettext
        words = {"text": _("Mapping as text"), "preset": _("Preset"), "identity": _("Identity")}
        words["include"] = _("Kinds of entries")
        rows = (*self._rows.rows.values(), *self._rows.extras) if self._rows else ()
        return words | {f"{row.key}.sources": row.words or _("Another field") for row in rows}
