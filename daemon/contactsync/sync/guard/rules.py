"""The rules of the guard.

After an outage, a time limit or a mistyped filter, a search returns too few entries. A plan is therefore held if no
contact of the folder would stay, unless its only one is replaced. It is also held if it would delete too many, or any
after an edit of the query. If the right to read an attribute is lost, a search returns all entries without it. A plan
is therefore held, too, if it would leave a field blank in too many of the contacts that have it. A held run changes
nothing and gives the reason. An approval allows exactly the losses that were shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from contactsync.model import Plan
from contactsync.settings.schema import Guard
from contactsync.text import counted

HOURS = 24
"""The deletions of incremental runs are added up over this time."""

_FIELDS_NAMED = 2
"""Cleared fields that a reason names after the first."""

_ALTERNATIVE = "If that is right, approve this run, or change the definition's"


@dataclass(frozen=True, slots=True)
class ClearedField:
    """A field that a plan would leave blank in `contacts` of the `filled` contacts that have it."""

    field: str
    contacts: int
    filled: int

    def exceeds(self, limits: Guard) -> bool:
        """Whether that needs an approval. The share counts as for deletions; a field has no absolute limit."""
        return self.contacts > limits.always_allow and self.contacts > limits.delete_share * self.filled


def reason_to_hold(
    plan: Plan,
    limits: Guard,
    *,
    entries: int | None,
    source_edited: bool,
    allow_empty: bool = False,
    lately: int = 0,
) -> str | None:
    """Why the plan is held and what to do about it, as sentences; None if it may be applied.

    `plan.contacts` is needed if the plan has deletions; the number from `enough_contacts` is sufficient. `entries` is
    the number of entries that a full search found, for the words; None if only changes were read. `source_edited` says
    whether the query has changed since it last filled the folder. `lately` is the number of contacts that incremental
    runs have deleted in the last HOURS; they count too, because a mass deletion may arrive in small parts.
    """
    if plan.deletes == 0:
        return None
    contacts = plan.contacts or 0
    what = f"{plan.deletes:,} of {contacts:,} contacts would be deleted"
    if source_edited:
        return (
            f"The query was edited since it last filled the folder, and {what}. "
            "Undo the edit; or approve this run if the edit is right."
        )
    replaced = plan.inserts > 0 and (allow_empty or contacts == 1)  # the folder of the one person on duty
    if contacts <= plan.deletes and not replaced:
        why = f"{_found(entries, plan.inserts)}, and {what}. {_ALTERNATIVE} allow_empty."
        return None if allow_empty else why
    deletes = plan.deletes + lately
    if lately:
        what = f"{what}, after {lately:,} in the last {HOURS} hours"
    if deletes > limits.delete_count:
        return f"{what}; the limit is {limits.delete_count:,}. {_ALTERNATIVE} max_delete_count."
    if deletes > limits.always_allow and deletes > limits.delete_share * (contacts + lately):
        return f"{what}; the limit is {limits.delete_share:.0%} of them. {_ALTERNATIVE} max_delete_share."
    return None


def _found(entries: int | None, inserts: int) -> str:
    if inserts:
        return f"The directory returned {inserts:,} new entries and none of the folder's contacts"
    if entries:
        return f"The directory returned {entries:,} entries, none of which can be a contact"
    return "The directory returned no entries at all"


def enough_contacts(plan: Plan, limits: Guard, *, lately: int = 0) -> int | None:
    """The number of contacts above which `reason_to_hold` decides the same; None if all have to be counted."""
    if limits.delete_share <= 0:
        return None
    # One more than the deletions, so that a contact remains; two more than the share needs, for rounding errors.
    return max(plan.deletes + 1, ceil((plan.deletes + lately) / limits.delete_share) + 2)


def reason_for_cleared(cleared: Sequence[ClearedField], limits: Guard) -> str:
    """Why a plan with such fields is held and what to do about it, as sentences."""
    first, *others = cleared
    parts = [
        f"{first.field} would be cleared in {first.contacts:,} of the {counted(first.filled, 'contact')} that have it",
        *(f"{each.field} in {each.contacts:,} of {each.filled:,}" for each in others[:_FIELDS_NAMED]),
    ]
    if more := others[_FIELDS_NAMED:]:
        parts.append(counted(len(more), "more field"))
    return (
        f"{', '.join(parts)}; the limit is {limits.delete_share:.0%} of them. The user may have lost the right to read "
        "the attribute. If the values are really gone, approve this run, or change the definition's max_delete_share."
    )


def enough_filled(contacts: int, limits: Guard) -> int | None:
    """The number of contacts with a value above which a field is not held; None if all have to be counted."""
    return ceil(contacts / limits.delete_share) + 2 if limits.delete_share > 0 else None


def reason_beyond_approval(
    reason: str, *, run_id: int, beyond: int, names: Sequence[str], what: str = "deletions"
) -> str | None:
    """Why a plan stays held although run `run_id` was approved; None if the approval covers everything.

    `beyond` is the number of contacts that the approval does not cover, and `names` are the first of them.
    """
    if beyond == 0:
        return None
    more = ", ..." if beyond > len(names) else ""
    deletions = f"{beyond:,} of the {what} ({', '.join(names)}{more})"
    return f"{deletions} go beyond what was approved with run {run_id}. {reason}"
