"""Whether a planned run is held: what the guard has to know, read from the plan, and what an approval covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from contactsync.model import Mode, Plan
from contactsync.store.plan.plan import count_contacts, count_filled, knows_source, read_cleared
from contactsync.store.record.holds import clears_beyond, deletions_beyond, read_approval
from contactsync.store.record.runs import deleted_lately
from contactsync.sync.guard.rules import (
    HOURS,
    ClearedField,
    enough_contacts,
    enough_filled,
    reason_beyond_approval,
    reason_for_cleared,
    reason_to_hold,
)

if TYPE_CHECKING:
    from contactsync.settings.schema import Guard
    from contactsync.sync.context import RunContext


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a run is held, and the fields that it would leave blank in too many contacts, with their number."""

    reason: str
    cleared: Mapping[str, int] = field(default_factory=dict)


def hold_of(context: RunContext, plan: Plan, digest: bytes) -> Hold | None:
    """Why the plan is held, in its transaction; None if it may be applied. Raises psycopg.Error.

    `digest` is that of the query. An approval covers the deletions and the cleared fields that it was given for.
    """
    if not plan.deletes and not plan.clears:
        return None
    limits = _limits(context)
    deletions = _too_many_deletions(context, plan, limits, digest) if plan.deletes else None
    cleared = _too_many_cleared(context, plan, limits)
    clears = reason_for_cleared(cleared, limits) if cleared else None
    if deletions is None and clears is None:
        return None
    connection, definition = context.connection, context.definition
    if approved := read_approval(connection, definition):
        if deletions:
            beyond = deletions_beyond(connection, definition, approved=approved)
            deletions = reason_beyond_approval(deletions, run_id=approved, beyond=beyond.number, names=beyond.names)
        if clears:
            fields = [each.field for each in cleared]
            beyond = clears_beyond(connection, definition, fields, approved=approved)
            clears = reason_beyond_approval(
                clears, run_id=approved, beyond=beyond.number, names=beyond.names, what="contacts to be cleared"
            )
    reason = " ".join(each for each in (deletions, clears) if each)
    return Hold(reason, {each.field: each.contacts for each in cleared}) if reason else None


def _limits(context: RunContext) -> Guard:
    definition = context.definition
    own = {"delete_count": definition.max_delete_count, "delete_share": definition.max_delete_share}
    return context.options.guard.model_copy(update={name: value for name, value in own.items() if value is not None})


def _too_many_deletions(context: RunContext, plan: Plan, limits: Guard, digest: bytes) -> str | None:
    """Count only as many contacts as the decision needs; the reason names the whole number."""
    connection, definition, report = context.connection, context.definition, context.report
    # After a held run all entries are read; the deletions of the increments before it count there too.
    lately = deleted_lately(connection, definition, hours=HOURS)
    check = partial(
        reason_to_hold,
        limits=limits,
        entries=report.counts.entries if report.mode is Mode.FULL else None,
        source_edited=not knows_source(connection, definition, digest),
        allow_empty=definition.allow_empty,
        lately=lately,
    )
    enough = enough_contacts(plan, limits, lately=lately)
    contacts = count_contacts(connection, definition, most=enough)
    reason = check(replace(plan, contacts=contacts))
    if reason and contacts == enough:
        contacts = count_contacts(connection, definition)
        reason = check(replace(plan, contacts=contacts))
    if reason or contacts != enough:
        report.plan = replace(plan, contacts=contacts)
    return reason


def _too_many_cleared(context: RunContext, plan: Plan, limits: Guard) -> list[ClearedField]:
    """The same for the contacts that have a value of the field."""
    if plan.clears <= limits.always_allow:
        return []
    connection, definition = context.connection, context.definition
    cleared = []
    for name, contacts in read_cleared(connection, above=limits.always_allow).items():
        enough = enough_filled(contacts, limits)
        each = ClearedField(name, contacts, count_filled(connection, definition, name, most=enough))
        if each.exceeds(limits):
            cleared.append(replace(each, filled=count_filled(connection, definition, name)))
    return cleared
