"""The steps "identity", "paging" and "sample": the first entries of the search, read in pages and mapped."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from contactsync.checks.context import CheckContext, Sample
from contactsync.checks.result import Status, StepResult, failed, ok, skipped, warning
from contactsync.checks.searches import Search, ask_by_pages
from contactsync.ldap.dn import is_within
from contactsync.ldap.protocol.results import refuses_page_size, smaller_pages
from contactsync.mapping.identity import BY_DN
from contactsync.mapping.mapping import Mapping
from contactsync.model import MappedEntry, RejectedEntry
from contactsync.text import counted

_PAGES = 2
_REASONS_SHOWN = 3
_COST_OF_DN = (
    "If an entry is renamed or moved, its contact is kept only if the employee number, or an address and the name,"
    " recognise it. Otherwise it is deleted and inserted: the id changes, and local edits are lost."
)
_INSTEAD_OF_DN = "Remove `identity` from the mapping if the directory has entryUUID, nsUniqueId or a similar attribute."
_NO_ENTRIES = skipped("There are no entries to read.")
_COLUMNS = {"name": "display_name", "email": "emails", "phone": "work_phones", "department": "department"}
"""The columns of a sample, with their fields."""


def check_identity(context: CheckContext) -> StepResult:
    """Verify that each entry has a key, and that keys are unique."""
    sample = _sample(context)
    if not sample.number:
        return _NO_ENTRIES
    identity = _present(sample, context.source.mapping.identity)
    names = " or ".join(identity)
    keys = Counter(entry.key for entry in sample.mapped)
    double = [key for key, times in keys.items() if times > 1]
    share = f"{len(sample.mapped)} of the first {counted(sample.number, 'entry', 'entries')}"
    data = {"identity": list(identity), "entries": sample.number, "with_key": len(sample.mapped), "double": double}
    if double:
        text = f"{names} is not unique: {counted(len(double), 'value')} in more than one entry."
        hint = 'Choose another `identity` in the mapping, or "dn".'
        return failed(text, hint, data, details=tuple(double[:_REASONS_SHOWN]))
    if sample.rejected:
        text = f"{names} identifies {share}."
        hint = (
            "The others are rejected. Request read access to the attribute, or choose another `identity` in the"
            ' mapping; "dn" is the DN itself.'
        )
        status = Status.WARNING if sample.mapped else Status.FAILED
        return StepResult(status, text, hint, _reasons(sample), data)
    text = f"{names} is unique in {share}."
    if identity == (BY_DN,):
        return warning(f"{text} {_COST_OF_DN}", _INSTEAD_OF_DN, data)
    return ok(text, data)


def check_paging(context: CheckContext) -> StepResult:
    """Verify that pages follow each other, and that the server does not limit the search."""
    count = context.counted
    page_size = context.options.page_size_of(context.definition)
    if count.stopped_by and refuses_page_size(count.stopped_by):
        return failed(
            f"The server refuses the page size {page_size:,}: {count.stopped_by}.",
            smaller_pages(page_size),
            {"limit": count.entries, "result": count.stopped_by},
        )
    if count.stopped_by:
        return failed(
            f"The server ends the search after {counted(count.entries, 'entry', 'entries')}: {count.stopped_by}.",
            "Runs fail and change nothing. Ask the directory's administrator to raise the limits of this user.",
            {"limit": count.entries, "result": count.stopped_by},
        )
    if not page_size:
        return ok("Paging is off; all entries are read in one search.", {"paging": False})
    if not context.root_dse.supports_paging:
        return warning(
            "The server does not offer paging (RFC 2696); all entries are read in one search.",
            "The server's size limit for this user must be above the number of entries.",
            {"paging": False},
        )
    pages = _sample(context).pages
    sizes = [page.number for page in pages]
    data = {"paging": True, "pages": sizes}
    if not all(page.is_page for page in pages):
        text = "The server offers paging (RFC 2696), but does not answer in pages."
        return failed(text, "Set --page-size 0, so that runs read all entries in one search.", data)
    extent = "" if count.complete else f" in the first {count.entries:,} entries"
    return ok(f"{counted(len(sizes), 'page')} of {' and '.join(map(str, sizes))} entries; no limit{extent}.", data)


def check_sample(context: CheckContext) -> StepResult:
    """Show the first entries as contacts, and the rejected ones."""
    sample = _sample(context)
    if not sample.number:
        return _NO_ENTRIES
    shown = sample.mapped[: context.limits.shown_contacts]
    mapping = context.source.mapping
    trimmed = sum(entry.trimmed for entry in sample.mapped)
    parts = [f"The first {len(shown)} of {counted(sample.number, 'entry', 'entries')}"]
    parts += [f"{len(sample.rejected)} rejected"] if sample.rejected else []
    parts += [f"{counted(trimmed, 'value')} dropped or changed"] if trimmed else []
    data = {
        "contacts": [_contact(mapping, entry) for entry in shown],
        "rejected": [{"dn": entry.dn, "reason": entry.reason} for entry in sample.rejected],
        "trimmed": trimmed,
        "trimmed_values": [
            {"dn": value.dn, "field": value.field, "reason": value.reason}
            for entry in sample.mapped
            for value in entry.trimmed_values
        ],
    }
    text = f"{', '.join(parts)}."
    if sample.rejected:
        return warning(text, "Runs skip rejected entries and read the others.", data, details=_reasons(sample))
    if trimmed:
        return ok(text, data, details=_trimmed(sample))
    return ok(text, data)


def _sample(context: CheckContext) -> Sample:
    """The sample, read at the first call. Raises DirectoryError."""
    if context.sample is None:
        source, size = context.source, context.limits.page_entries
        search = Search(source.base, source.scope, source.filter, source.attributes)
        answers = ask_by_pages(context.session, search, context.read_limits(), page_size=size, most=_PAGES * size)
        pages = tuple(islice(answers, _PAGES))
        excluded = source.excluded_base
        results = [
            source.mapping.map(b"", entry)
            for page in pages
            for entry in page.entries
            if not (excluded and is_within(entry.dn, excluded))
        ]
        context.sample = Sample(
            pages,
            tuple(result for result in results if isinstance(result, MappedEntry)),
            tuple(result for result in results if isinstance(result, RejectedEntry)),
        )
    return context.sample


def _present(sample: Sample, identity: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes of the identity that any entry has; all if there are none."""
    present = {name for page in sample.pages for entry in page.entries for name in entry.attributes}
    return tuple(name for name in identity if name.lower() in present) or identity


def _contact(mapping: Mapping, entry: MappedEntry) -> dict[str, Any]:
    """The DN, and the first value of each of _COLUMNS that is mapped."""
    values = dict(zip(mapping.fields, entry.values, strict=True))
    return {"dn": entry.dn, **{column: _first(values.get(field)) for column, field in _COLUMNS.items()}}


def _first(value: Any) -> str | None:
    return next(iter(value), None) if isinstance(value, list) else value


def _trimmed(sample: Sample) -> tuple[str, ...]:
    values = [value for entry in sample.mapped for value in entry.trimmed_values]
    return tuple(f"{value.dn}: {value.field}: {value.reason}" for value in values[:_REASONS_SHOWN])


def _reasons(sample: Sample) -> tuple[str, ...]:
    return tuple(f"{entry.dn}: {entry.reason}" for entry in sample.rejected[:_REASONS_SHOWN])
