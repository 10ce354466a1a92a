"""Previews: the real plan in a transaction that is rolled back, also of a definition with changes not stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.model import Change, Preview
from contactsync.sync.document import RunResult

if TYPE_CHECKING:
    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Definition
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
        return self.definition.label if self.definition.definition_id > 0 else None

    def password(self) -> str | None:
        """The bind password. Raises SecretError, QueryError.

        A sealed password opens for the definition as it is stored: who has the key may try it with other servers.
        """
        sealed = self.definition.password_sealed or self.definition.password_new
        return self.typed or self.passwords.read(self.stored if sealed else self.definition)

    def preview(self, runner: Runner, *, limit: int | None = None) -> Preview:
        """The result of `Runner.preview`, for a draft of a stored definition. Raises as that does."""
        return runner.preview(self.definition, limit=limit, password=self.password)


class FieldChange(BaseModel):
    """A field before and after."""

    before: Any
    after: Any


class ChangeDocument(BaseModel):
    """What a run did, or would do, to one contact."""

    contact_id: int | None = Field(description="Null for a contact that does not exist yet.")
    action: Literal["insert", "update", "delete"]
    display_name: str | None
    fields: dict[str, FieldChange]
    matched_by: str | None = Field(
        description="The key by which the contact was recognised under another identity: dn, employee_number, mail."
    )

    @classmethod
    def of_all(cls, changes: Iterable[Change]) -> list[ChangeDocument]:
        """The documents of several changes."""
        return [
            cls(
                contact_id=change.contact_id,
                action=change.action,
                display_name=change.display_name,
                fields={name: FieldChange(before=old, after=new) for name, (old, new) in change.fields.items()},
                matched_by=change.matched_by,
            )
            for change in changes
        ]


class PreviewDocument(RunResult):
    """The run that would be made now: counts of the whole plan, and some of its changes."""

    contacts: int | None = Field(description="Contacts of the definition now; null if nothing would change.")
    changes: list[ChangeDocument]
    changes_left_out: int

    @classmethod
    def of_preview(cls, preview: Preview) -> PreviewDocument:
        """The document of a preview."""
        plan = preview.report.plan
        return cls.of(
            preview.report,
            contacts=plan.contacts if plan else None,
            changes=ChangeDocument.of_all(preview.changes),
            changes_left_out=max((plan.changes if plan else 0) - len(preview.changes), 0),
        )
