"""The steps "base" and "filter": where the search starts, and how many entries it finds."""

from __future__ import annotations

import time
from typing import Any

from contactsync.checks.context import CheckContext, Counted
from contactsync.checks.result import Status, StepResult, ok, warning
from contactsync.checks.searches import Search, ask, ask_by_pages, ask_for_some
from contactsync.ldap.aliases import find_aliases, refuse_aliases
from contactsync.ldap.lookup import REFUSALS
from contactsync.ldap.protocol.results import nothing_found
from contactsync.ldap.query.query import Scope
from contactsync.mapping.entry_filter import DISABLED_ACCOUNT, both
from contactsync.sync.definition import source_of
from contactsync.text import counted

_SCOPES = {
    Scope.BASE: "this entry only",
    Scope.ONE: "one level below it",
    Scope.SUB: "everything below it",
}

_UNUSUAL_IN_ACTIVE_DIRECTORY = {
    "disabled account": DISABLED_ACCOUNT,
    "group": "(objectCategory=group)",
    "computer": "(objectCategory=computer)",
    "system object": "(isCriticalSystemObject=TRUE)",
}
_UNUSUAL = {
    "locked account": "(nsAccountLock=TRUE)",
    "group": "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
    "organizational unit": "(objectClass=organizationalUnit)",
    "machine account": "(uid=*$)",
}
"""What a filter alone may find, and the mapping's filter or most people would not want in a folder."""


def check_base(context: CheckContext) -> StepResult:
    """Choose the base as a run does, and read its entry. Raises BaseNotFound."""
    context.source = source = source_of(context.session, context.resolved, context.options.map_limits)
    answer = ask(context.session, Search(source.base, Scope.BASE), context.read_limits())
    origin = "the server's default"
    if context.resolved.base is not None:
        origin = "from the query" if context.definition.base is None else "from the definition"
    data = {
        "base": source.base,
        "scope": source.scope.value,
        "chosen_from": origin,
        "lacking": list(source.lacking),
    }
    text = f"{source.base or 'The empty base'} ({origin}), {_SCOPES[source.scope]}."
    if not answer.number:
        return warning(
            text, "This user cannot read the entry itself. If nothing is found, request read access to it.", data
        )
    if source.lacking:
        return warning(
            f"{text} The global catalogue lacks {counted(len(source.lacking), 'attribute')} of the mapping.",
            "Fields without another source stay blank. Use the domain's own port (389 or 636), or add the attributes to"
            " the catalogue (isMemberOfPartialAttributeSet in the schema).",
            data,
            details=(f"lacking: {', '.join(source.lacking)}",),
        )
    return ok(text, data)


def check_filter(context: CheckContext) -> StepResult:
    """Count the entries of the search without decoding them. Raises the errors of a run."""
    result = _check_filter(context)
    if result.status is Status.OK and (note := _aliases(context) or _preserved(context)):
        text, hint = note
        return warning(f"{result.text} {text}", hint, result.data, details=result.details)
    return result


def _aliases(context: CheckContext) -> tuple[str, str] | None:
    """What the search does not find because an alias points to it, and what to do."""
    aliases = find_aliases(context.session, context.source.base, context.source.scope)
    if aliases is None:
        return None
    hint = f"The first alias is of {aliases.target}. To have such entries too, add a definition that searches there."
    return f"There are also aliases ({aliases.number}), which are never followed.", hint


def _preserved(context: CheckContext) -> tuple[str, str] | None:
    if not context.source.mapping.preserved or context.root_dse.is_389_directory_server:
        return None
    return (
        'The mapping\'s "include": {"preserved": true} has no effect here: only FreeIPA keeps people who have left.',
        "Remove it from the mapping. If people who have left are in the search, exclude them by a filter or the base.",
    )


def _check_filter(context: CheckContext) -> StepResult:
    context.counted = count = _count(context)
    source = context.source
    entries = counted(count.entries, "entry", "entries")
    references = f"; {counted(count.references, 'reference')} to other servers ignored" if count.references else ""
    least = "" if count.complete else "at least "
    own, replaces = context.resolved.filter, context.resolved.replaces_filter
    origin = "" if replaces else " (narrows the mapping's)" if own else " (from the mapping)"
    excluded = _excluded(context) if count.entries else 0
    provisioned = f"; {excluded:,} of them, preserved or staged people, are excluded" if excluded else ""
    text = f"{source.filter}{origin} finds {least}{entries}{provisioned}{references}."
    data = {
        "filter": source.filter,
        "entries": count.entries,
        "complete": count.complete,
        "references": count.references,
        "excluded": excluded,
    }
    if excluded and excluded == count.entries:
        return warning(text, 'To have them, put "include": {"preserved": true} into the mapping.', data)
    if count.entries and replaces:
        return _with_unusual(context, text, data)
    if count.entries or count.stopped_by:
        return ok(text, data)
    refuse_aliases(context.session, source.base, source.scope)
    if own and not replaces and _finds_entries(context, own):
        hint = "Your filter alone finds entries, which the mapping's excludes. To have them, add --filter-only."
        return warning(text, hint, data)
    if context.session.anonymous:
        return warning(
            text,
            "Many directories hide entries from anonymous users: set a user. Or check base and filter.",
            data,
        )
    return warning(
        text,
        "Check the base, the filter's spelling (an unknown attribute matches nothing), and this user's read access.",
        data,
    )


def _finds_entries(context: CheckContext, search_filter: str) -> bool:
    search = Search(context.source.base, context.source.scope, search_filter)
    return ask_for_some(context.session, search, context.read_limits(), most=1, decode=False).number > 0


def _with_unusual(context: CheckContext, text: str, data: dict[str, Any]) -> StepResult:
    """A warning if the definition's filter alone finds entries that are usually not wanted in a folder."""
    source, found = context.source, {}
    kinds = _UNUSUAL_IN_ACTIVE_DIRECTORY if context.root_dse.is_active_directory else _UNUSUAL
    for kind, item in kinds.items():
        try:
            count = _count(context, both(source.filter, item))
        except REFUSALS:  # the server does not know the attribute
            continue
        if count.entries:
            found[kind] = count.entries
    data = data | {"unusual": found}
    if not found:
        return ok(text, data)
    kinds_found = ", ".join(counted(number, kind) for kind, number in found.items())
    hint = "To exclude those that the mapping's filter excludes, set --no-filter-only; your filter then narrows it."
    return warning(f"{text} Among them: {kinds_found}.", hint, data)


def _excluded(context: CheckContext) -> int:
    """How many of FreeIPA's preserved and staged people the filter finds, which a run drops."""
    source = context.source
    if source.excluded_base is None or source.scope is not Scope.SUB:
        return 0
    try:
        return _count(context, base=source.excluded_base).entries
    except REFUSALS:  # the server is not FreeIPA, or the subtree is hidden
        return 0


def _count(context: CheckContext, search_filter: str | None = None, base: str | None = None) -> Counted:
    """Read to the end, to a limit of the server, or to the limits of the check."""
    limits, source = context.limits, context.source
    entries = references = 0
    end = time.monotonic() + limits.count_seconds
    page_size = context.options.page_size_of(context.definition)
    search = Search(base or source.base, source.scope, search_filter or source.filter, refused_hint=source.refused_hint)
    for answer in ask_by_pages(
        context.session, search, context.read_limits(), page_size=page_size, most=limits.count_entries, decode=False
    ):
        entries += answer.number
        references += answer.references
        if answer.limited:
            is_our_limit = entries >= limits.count_entries and not answer.is_page
            stopped_by = None if is_our_limit else str(answer.result)
            return Counted(entries, references, complete=False, stopped_by=stopped_by)
        if answer.cookie and (entries >= limits.count_entries or time.monotonic() > end):
            return Counted(entries, references, complete=False)
    in_pages = page_size and context.root_dse.supports_paging
    if answer.result.diagnostic and not entries and (answer.is_page or not in_pages):
        raise nothing_found(context.session.server, answer.result.diagnostic)
    return Counted(entries, references, complete=True)
