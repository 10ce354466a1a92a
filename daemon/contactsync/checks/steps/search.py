"""The steps "base" and "filter": where the search starts, and how much it finds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from contactsync.checks.context import Counted
from contactsync.checks.result import Status, StepResult, counted
from contactsync.checks.searches import Search, ask, ask_by_pages
from contactsync.ldap.query.query import Scope
from contactsync.sync.definition import choose_source

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext

_REACH = {
    Scope.BASE: "this entry only",
    Scope.ONE: "one level below it",
    Scope.SUB: "everything below it",
}


def check_base(checkup: CheckContext) -> StepResult:
    """Choose the base as a run would, and look whether it is there. Raises BaseNotFound."""
    source = choose_source(checkup.known, checkup.root_dse, checkup.options.map_limits)
    answer = ask(checkup.bound, Search(source.base, Scope.BASE), checkup.read_limits())
    checkup.source = source
    data = {
        "base": source.base,
        "scope": source.scope.value,
        "chosen_from": _origin(checkup),
        "lacking": list(source.lacking),
    }
    text = f"{source.base} ({_origin(checkup)}), {_REACH[source.scope]}."
    if not answer.number:
        return StepResult(
            status=Status.WARNING,
            text=text,
            hint="The entry itself is not shown to this user; ask for the right to read it if nothing is found.",
            data=data,
        )
    if source.lacking:
        return StepResult(
            status=Status.WARNING,
            text=f"{text} The global catalogue lacks {counted(len(source.lacking), 'attribute')} of the mapping.",
            hint="What comes from them alone stays blank. Read each domain at its own port (389, 636),"
            " or have them put into the catalogue (isMemberOfPartialAttributeSet in the schema).",
            details=(f"lacking: {', '.join(source.lacking)}",),
            data=data,
        )
    return StepResult(status=Status.OK, text=text, data=data)


def _origin(checkup: CheckContext) -> str:
    if checkup.definition.base:
        return "from the definition"
    if checkup.known.base:
        return "from the query"
    return "the server's own"


def check_filter(checkup: CheckContext) -> StepResult:
    """Count what the search finds, without decoding it. FilterRefused; a limit is told by the step "paging"."""
    checkup.counted = found = _count(checkup)
    source = checkup.asked
    number = counted(found.entries, "entry", "entries")
    references = f", {counted(found.references, 'reference')} to other servers left aside" if found.references else ""
    least = "" if found.complete else "at least "
    origin = "" if checkup.known.filter else " (the mapping's)"
    text = f"{source.filter}{origin} finds {least}{number}{references}."
    data = {
        "filter": source.filter,
        "entries": found.entries,
        "complete": found.complete,
        "references": found.references,
    }
    if not found.entries and not found.stopped_by:
        return StepResult(status=Status.WARNING, text=text, hint=_nothing_found(checkup), data=data)
    return StepResult(status=Status.OK, text=text, data=data)


def _nothing_found(checkup: CheckContext) -> str:
    if checkup.bound.anonymous:
        return "Many directories show nothing to anonymous users: name a user. Or check base and filter."
    return (
        "Check the base, the filter's spelling (an attribute that the server does not know finds nothing),"
        " and that the user may read people."
    )


def _count(checkup: CheckContext) -> Counted:
    """Read until the end, a limit of the server's, or until the check has seen enough."""
    limits, source = checkup.limits, checkup.asked
    entries = references = 0
    end = time.monotonic() + limits.count_seconds
    page_size = checkup.definition.page_size or checkup.options.page_size
    search = Search(source.base, source.scope, source.filter)
    for answer in ask_by_pages(
        checkup.bound, search, checkup.read_limits(), page_size=page_size, most=limits.count_entries, decode=False
    ):
        entries += answer.number
        references += answer.references
        if answer.cut:
            ours = entries >= limits.count_entries and not answer.is_page
            return Counted(entries, references, complete=False, stopped_by=None if ours else str(answer.result))
        if answer.cookie and (entries >= limits.count_entries or time.monotonic() > end):
            return Counted(entries, references, complete=False)
    return Counted(entries, references, complete=True)
