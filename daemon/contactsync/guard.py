"""The guard: what a plan may not do unless somebody looked at it.

An outage, a time limit or a mistyped filter looks just like "nobody works here any more". So a plan that empties a
folder, deletes too much, or deletes after the query was edited is held: it changes nothing and says why.
"""

from __future__ import annotations

from dataclasses import dataclass

from contactsync.model import Plan


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How many contacts one run may delete.

    `delete_count` is a number of contacts, `delete_share` a part (0 to 1) of those the definition brought. Up to
    `always_allow` deletions pass whatever the share, so that small folders stay usable.
    """

    delete_count: int = 500
    delete_share: float = 0.2
    always_allow: int = 5
    allow_empty: bool = False


def reason_to_hold(plan: Plan, limits: GuardLimits, *, entries: int, source_edited: bool) -> str | None:
    """Why this plan must not be applied, in a sentence; None when it may.

    `entries` is how many entries the search brought, `source_edited` whether the query is another than the one that
    filled the folder.
    """
    if plan.deletes == 0:
        return None
    what = f"{plan.deletes:,} of {plan.contacts:,} contacts would be deleted"
    if source_edited:
        return f"The query was edited since it last filled the folder, and {what}."
    if entries == 0:
        return None if limits.allow_empty else f"The directory returned no entries at all, and {what}."
    if plan.deletes > limits.delete_count:
        return f"{what}; the limit is {limits.delete_count:,}."
    if plan.deletes > limits.always_allow and plan.deletes > limits.delete_share * plan.contacts:
        return f"{what}; the limit is {limits.delete_share:.0%} of them."
    return None
