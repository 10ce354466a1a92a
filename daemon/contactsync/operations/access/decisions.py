"""Which decisions about held runs an actor may make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.errors import RoleMissing, UsageError
from contactsync.operations.access.person import PersonAccess

if TYPE_CHECKING:
    from contactsync.model import Actor
    from contactsync.operations.access.rights import Access
    from contactsync.store.record.holds import HeldPlan


def require_decision(access: Access, plan: HeldPlan) -> None:
    """Raise RoleMissing if the owner of a folder may not decide about so many contacts.

    Of the fields that would be cleared, the one with the most contacts counts.
    """
    losses = plan.deleted + max(plan.cleared.values(), default=0)
    if isinstance(access, PersonAccess) and losses > access.rules.owners_approve:
        what = "deletions or cleared contacts" if plan.cleared else "deletions"
        raise RoleMissing(
            f"You may decide about {access.rules.owners_approve:,} {what} at most, and this run has {losses:,}.",
            hint="Ask an administrator.",
        )


def require_digest(actor: Actor, digest: str | None) -> None:
    """Raise UsageError for an approval at the web console that does not say which plan was shown: a page may be old."""
    if actor.kind == "web" and digest is None:
        raise UsageError(
            "The request does not say which plan was shown.", hint="Send the digest of the plan with the decision."
        )
