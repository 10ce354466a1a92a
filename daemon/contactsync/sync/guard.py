"""The guard: what a plan may not do unless somebody looked at it.

An outage, a time limit or a mistyped filter looks just like "nobody works here any more". So a plan that empties a
folder, deletes too much, or deletes after the query was edited is held: it changes nothing and says why. An approval
lets exactly those deletions pass that somebody looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from contactsync.model import Plan

HOURS = 24
"""How long what increments delete adds up."""

_SET = "If that is right, approve this run, or change the definition's"


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How many contacts one run may delete.

    `delete_count` is a number of contacts, `delete_share` a part (0 to 1) of those the definition brought. Up to
    `always_allow` deletions pass whatever the share, so that small folders stay usable. A held plan waits for its
    approval, and an approval for its run, no longer than `approval_days`.
    """

    delete_count: int = 500
    delete_share: float = 0.2
    always_allow: int = 5
    approval_days: int = 7
    allow_empty: bool = False


def reason_to_hold(
    plan: Plan, limits: GuardLimits, *, entries: int, source_edited: bool, lately: int = 0
) -> str | None:
    """Why this plan must not be applied, and what to do if it is right after all; None when it may.

    `plan.contacts` has to be known when the plan deletes any; `enough_contacts` as well as all of them will do.

    `entries` is how many entries the search brought, `source_edited` whether the query is another than the one that
    filled the folder. `lately` is how many contacts increments have deleted in the last HOURS: a mass deletion may come
    to them a few at a time, so theirs and this plan's together have the limits of one run.
    """
    if plan.deletes == 0:
        return None
    contacts = plan.contacts or 0
    what = f"{plan.deletes:,} of {contacts:,} contacts would be deleted"
    if source_edited:
        return (
            f"The query was edited since it last filled the folder, and {what}. "
            "Set it back; or, if it is right, approve this run."
        )
    if entries == 0:
        why = f"The directory returned no entries at all, and {what}. {_SET} allow_empty."
        return None if limits.allow_empty else why
    deletes = plan.deletes + lately
    if lately:
        what = f"{what}, after {lately:,} in the last {HOURS} hours"
    if deletes > limits.delete_count:
        return f"{what}; the limit is {limits.delete_count:,}. {_SET} max_delete_count."
    if deletes > limits.always_allow and deletes > limits.delete_share * (contacts + lately):
        return f"{what}; the limit is {limits.delete_share:.0%} of them. {_SET} max_delete_share."
    return None


def enough_contacts(plan: Plan, limits: GuardLimits, *, lately: int = 0) -> int | None:
    """So many contacts that no larger number makes a difference to whether `reason_to_hold` has one; None for all."""
    if limits.delete_share <= 0:
        return None
    # One more than deletions leaves somebody; two more than the share asks for outdo what floats are off.
    return max(plan.deletes + 1, ceil((plan.deletes + lately) / limits.delete_share) + 2)


def reason_beyond_approval(reason: str, *, run_id: int, beyond: int, names: Sequence[str]) -> str | None:
    """Why a plan stays held although run `run_id` was approved: `beyond` of its deletions were not in what was shown.

    None when all of them were. `names` are the first of those contacts, `reason` is what the plan is held for.
    """
    if beyond == 0:
        return None
    more = ", ..." if beyond > len(names) else ""
    whose = f"{beyond:,} of the deletions ({', '.join(names)}{more})"
    return f"{whose} go beyond what was approved with run {run_id}. {reason}"
