"""The steps "identity", "paging" and "sample": a few entries, looked at closely."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from contactsync.checks.result import Status, StepResult, counted
from contactsync.checks.sample import Sample
from contactsync.checks.searches import Answer, Search, ask_by_pages
from contactsync.mapping.identity import BY_DN
from contactsync.model import MappedEntry, RejectedEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contactsync.checks.context import CheckContext
    from contactsync.mapping.mapping import Mapping

_PAGES = 2
_REASONS_SHOWN = 3
_COST_OF_DN = (
    "Whoever is renamed or moved is deleted and comes back as another contact, with another id and without what people"
    " added to the old one; a unit that is renamed takes along all who are in it."
)
_INSTEAD_OF_DN = "Leave `identity` out of the mapping if the directory has entryUUID, nsUniqueId or the like."
_NO_ENTRIES = StepResult(status=Status.SKIPPED, text="There are no entries to look at.")
_COLUMNS = {"name": "display_name", "email": "emails", "phone": "work_phones", "department": "department"}
"""What a sample shows of a contact, with the field that it comes from."""


def _sample(checkup: CheckContext) -> Sample:
    """Read at the first call, kept for the others. Raises DirectoryError."""
    if checkup.sample is None:
        pages = tuple(_first_pages(checkup))
        results = [checkup.asked.mapping.map(b"", entry) for page in pages for entry in page.entries]
        checkup.sample = Sample(
            pages,
            tuple(result for result in results if isinstance(result, MappedEntry)),
            tuple(result for result in results if isinstance(result, RejectedEntry)),
        )
    return checkup.sample


def _first_pages(checkup: CheckContext) -> Sequence[Answer]:
    source, size = checkup.asked, checkup.limits.page_entries
    search = Search(source.base, source.scope, source.filter, source.attributes)
    pages = ask_by_pages(checkup.bound, search, checkup.read_limits(), page_size=size, most=_PAGES * size)
    return [page for page, _ in zip(pages, range(_PAGES), strict=False)]


def check_identity(checkup: CheckContext) -> StepResult:
    """See that each entry can be found again after a rename, and that no two are taken for one."""
    sample = _sample(checkup)
    if not sample.number:
        return _NO_ENTRIES
    identity = _present(sample, checkup.asked.mapping.identity)
    keys = Counter(entry.key for entry in sample.mapped)
    twice = [key for key, times in keys.items() if times > 1]
    of = f"{len(sample.mapped)} of {counted(sample.number, 'entry', 'entries')} looked at"
    data = {"identity": list(identity), "entries": sample.number, "with_key": len(sample.mapped), "double": twice}
    if twice:
        return StepResult(
            status=Status.FAILED,
            text=f"{' or '.join(identity)} is not unique: {counted(len(twice), 'value')} came more than once.",
            hint='Choose another `identity` in the mapping, or "dn".',
            details=tuple(twice[:_REASONS_SHOWN]),
            data=data,
        )
    if sample.rejected:
        return StepResult(
            status=Status.WARNING if sample.mapped else Status.FAILED,
            text=f"{' or '.join(identity)} identifies {of}.",
            hint="The others are rejected. Ask for the right to read the attribute,"
            ' or choose another `identity` in the mapping, "dn" for the name itself.',
            details=_reasons(sample),
            data=data,
        )
    text = f"{' or '.join(identity)}, unique on {of}."
    if identity == (BY_DN,):
        return StepResult(status=Status.WARNING, text=f"{text} {_COST_OF_DN}", hint=_INSTEAD_OF_DN, data=data)
    return StepResult(status=Status.OK, text=text, data=data)


def _present(sample: Sample, identity: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the attributes that some entry has; all of them when none has any."""
    there = {name for page in sample.pages for entry in page.entries for name in entry.attributes}
    return tuple(name for name in identity if name.lower() in there) or identity


def check_paging(checkup: CheckContext) -> StepResult:
    """See that pages follow each other, and that no limit of the server's cuts the search off."""
    found = checkup.counted
    if found and found.stopped_by:
        return StepResult(
            status=Status.FAILED,
            text=f"The server ends the search after {counted(found.entries, 'entry', 'entries')}: {found.stopped_by}.",
            hint="A run would fail and change nothing."
            " Ask the directory's administrator to raise the limits of this user.",
            data={"limit": found.entries, "result": found.stopped_by},
        )
    if not checkup.root_dse.supports_paging:
        return StepResult(
            status=Status.WARNING,
            text="The server does not offer paging (RFC 2696); everything is asked for at once.",
            hint="Its size limit for this user has to be above the number of entries.",
            data={"paging": False},
        )
    return _pages(checkup, _sample(checkup).pages)


def _pages(checkup: CheckContext, pages: tuple[Answer, ...]) -> StepResult:
    sizes = [page.number for page in pages]
    data = {"paging": True, "pages": sizes}
    if not all(page.is_page for page in pages):
        return StepResult(
            status=Status.FAILED,
            text="The server offers paging (RFC 2696), but answers without it.",
            hint="A run could not tell whether everything came. Name another server.",
            data=data,
        )
    limit = "no limit was met"
    if checkup.counted and not checkup.counted.complete:
        limit = f"no limit was met among the first {checkup.counted.entries:,} entries"
    read = " and ".join(map(str, sizes))
    return StepResult(status=Status.OK, text=f"{counted(len(sizes), 'page')} of {read} entries; {limit}.", data=data)


def check_sample(checkup: CheckContext) -> StepResult:
    """Show what the first entries would be as contacts, and what is wrong with the others that were looked at."""
    sample = _sample(checkup)
    if not sample.number:
        return _NO_ENTRIES
    shown = sample.mapped[: checkup.limits.shown_contacts]
    mapping = checkup.asked.mapping
    trimmed = sum(entry.trimmed for entry in sample.mapped)
    parts = [f"the first {len(shown)} of {counted(sample.number, 'entry', 'entries')} looked at"]
    parts += [f"{len(sample.rejected)} rejected"] if sample.rejected else []
    parts += [f"{counted(trimmed, 'value')} dropped or shortened"] if trimmed else []
    return StepResult(
        status=Status.WARNING if sample.rejected else Status.OK,
        text=f"{', '.join(parts).capitalize()}.",
        hint="Rejected entries are left out; the others are taken over." if sample.rejected else "",
        details=_reasons(sample),
        data={
            "contacts": [contact_data(mapping, entry) for entry in shown],
            "rejected": [{"dn": entry.dn, "reason": entry.reason} for entry in sample.rejected],
            "trimmed": trimmed,
        },
    )


def contact_data(mapping: Mapping, entry: MappedEntry) -> dict[str, Any]:
    """A contact in short: its DN, and the first value of each of _COLUMNS that is mapped."""
    values = dict(zip(mapping.fields, entry.values, strict=True))
    return {"dn": entry.dn, **{column: _first(values.get(field)) for column, field in _COLUMNS.items()}}


def _first(value: Any) -> str | None:
    if isinstance(value, list):
        return next(iter(value), None)
    return value if isinstance(value, str) else None


def _reasons(sample: Sample) -> tuple[str, ...]:
    return tuple(f"{entry.dn}: {entry.reason}" for entry in sample.rejected[:_REASONS_SHOWN])
