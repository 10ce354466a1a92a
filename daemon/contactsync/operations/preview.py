"""A preview: the real plan in the real transaction, which is then rolled back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contactsync.model import Change, RunReport


def preview_document(report: RunReport) -> dict[str, Any]:
    """What `Runner.preview` found, for scripts: the counts of the whole plan and the changes that were asked for."""
    plan = report.plan
    return {
        "label": report.definition.label,
        "definition_id": report.definition.definition_id,
        "outcome": report.outcome,
        "held_reason": report.held_reason,
        "contacts": plan.contacts if plan else None,
        "server": report.server,
        **asdict(report.counts),
        "changes": change_documents(report.changes),
        "changes_left_out": max((plan.changes if plan else 0) - len(report.changes), 0),
        "rejected_sample": [{"dn": dn, "reason": why} for dn, why in plan.rejected_sample] if plan else [],
    }


def change_documents(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Changes for scripts: `fields` is {field: {"before": value, "after": value}}."""
    return [
        {
            "contact_id": change.contact_id,
            "action": change.action,
            "display_name": change.display_name,
            "fields": {name: {"before": before, "after": after} for name, (before, after) in change.fields.items()},
        }
        for change in changes
    ]
