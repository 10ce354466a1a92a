"""Previews: the real plan in a transaction that is rolled back, also of a definition with changes not stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Change, Definition, Preview
    from contactsync.sync.runner import Runner


@dataclass(frozen=True, slots=True)
class Draft:
    """A definition with changes that are not stored; `typed` is a password that comes with them."""

    stored: Definition
    definition: Definition
    passwords: BindPasswords
    typed: str | None = None

    @property
    def label(self) -> str | None:
        """How people name the definition; None for one that is new."""
        return self.definition.label if self.definition.definition_id else None

    def password(self) -> str | None:
        """The bind password. Raises SecretError, QueryError.

        A sealed password opens for the definition as it is stored: who has the key may try it with other servers.
        """
        sealed = self.definition.password_sealed is not None
        return self.typed or self.passwords.read(self.stored if sealed else self.definition)

    def preview(self, runner: Runner, *, limit: int | None = None) -> Preview:
        """The result of `Runner.preview`, for a draft of a stored definition. Raises as that does."""
        return runner.preview(self.definition, limit=limit, password=self.password)


def preview_document(preview: Preview) -> dict[str, Any]:
    """What `Runner.preview` found, for scripts: the counts of the whole plan and the changes that were asked for."""
    report = preview.report
    plan = report.plan
    return {
        "label": report.definition.label,
        "definition_id": report.definition.definition_id,
        "outcome": report.outcome,
        "held_reason": report.held_reason,
        "contacts": plan.contacts if plan else None,
        "server": report.server,
        **asdict(report.counts),
        "changes": change_documents(preview.changes),
        "changes_left_out": max((plan.changes if plan else 0) - len(preview.changes), 0),
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
