"""What would change if the stored definitions became the declared ones. Nothing is changed here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.errors import ContactsyncError, UsageError
from contactsync.ldap.connection.options import missing_password
from contactsync.model import FIRST_DEFINITION, Definition
from contactsync.operations.definitions import require_password
from contactsync.operations.fields import InvalidFields, require_valid_fields
from contactsync.store.definitions import read_definitions, read_overview

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg import Connection

    from contactsync.credentials.references import References
    from contactsync.operations.declared.fields import Declarations, DeclaredDefinition

STORED = "stored"
"""In place of a password in a plan."""
_NO_FIELDS = {"folder_id", "definition_id", "folder", "owner", "name", "revision", "password_sealed", "password_new"}


class FieldChange(BaseModel):
    """The value of a field before and after; null is the default."""

    before: Any
    after: Any


class PlannedChange(BaseModel):
    """What happens to one definition."""

    action: Literal["add", "edit", "remove"]
    label: str
    definition_id: int | None
    index: int | None = Field(description="Its place in the request, from 0.")
    fields: dict[str, FieldChange] = Field(description='The fields that change. A password is only "stored" or null.')
    contacts: int = Field(description="Its contacts now. A removal deletes them.")
    needs_password: bool = Field(description="Whether a password has to be given with the request.")
    password_problem: str | None = Field(description="Why it is needed.")


class DefinitionsPlan(BaseModel):
    """What changes, in the order of the request; removals come last."""

    digest: str = Field(description="Identifies the request and the definitions that it was compared with.")
    changes: list[PlannedChange]
    unchanged: int
    others: list[str] = Field(description="The labels of definitions that are not in the request and stay.")


class InvalidDeclarations(InvalidFields):
    """Declared definitions are not valid; `errors` has each wrong field as definitions/INDEX/FIELD."""

    def __init__(self, errors: Mapping[tuple[int, str], ContactsyncError]) -> None:
        super().__init__({f"definitions/{index}/{name}": error for (index, name), error in errors.items()})


@dataclass(frozen=True, slots=True)
class Step:
    """A planned change with what it takes to carry it out; without a stored definition it is an addition."""

    planned: PlannedChange
    stored: Definition | None
    wanted: Definition | None
    password: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The plan and its steps."""

    plan: DefinitionsPlan
    steps: list[Step]


def compare(connection: Connection[Any], references: References, declarations: Declarations) -> Comparison:
    """Compare declared definitions with those that are stored.

    With `remove_others`, definitions that are not declared are removed. Raises InvalidDeclarations with every field
    that is not valid, UsageError if nothing is declared and everything would be removed, DatabaseError.
    """
    declared, remove_others = declarations.definitions, declarations.remove_others
    stored = {_identity(each): each for each in read_definitions(connection)}
    if remove_others and not declared and stored:
        raise UsageError(
            f"No definition is declared, so that all {len(stored)} would be removed.",
            hint="Remove them one by one with `contactsync folders remove`, if that is what you want.",
        )
    wanted = _wanted(declared, stored, references)
    ids = [each.definition_id for each in stored.values()]
    contacts = {row["definition_id"]: row["contacts"] for row in read_overview(connection, ids)} if ids else {}
    steps = []
    for index, (definition, declaration) in enumerate(zip(wanted, declared, strict=True)):
        before = stored.get(_identity(definition))
        step = _step(index, before, definition, declaration.password_text, contacts)
        if step.planned.fields or before is None:
            steps.append(step)
    identities = {_identity(definition) for definition in wanted}
    others = [each for key, each in stored.items() if key not in identities]
    unchanged = len(wanted) - len(steps)
    if remove_others:
        steps += [_removal(each, contacts) for each in others]
    plan = DefinitionsPlan(
        digest=_digest(
            declared,
            [each for key, each in stored.items() if remove_others or key in identities],
            remove_others=remove_others,
        ),
        changes=[step.planned for step in steps],
        unchanged=unchanged,
        others=[] if remove_others else sorted(each.label for each in others),
    )
    return Comparison(plan, steps)


def _wanted(
    declared: Sequence[DeclaredDefinition],
    stored: Mapping[tuple[str | None, str, str], Definition],
    references: References,
) -> list[Definition]:
    """The declared definitions, with the passwords of the stored ones. Raises InvalidDeclarations."""
    errors: dict[tuple[int, str], ContactsyncError] = {}
    first: dict[tuple[str | None, str, str], int] = {}
    wanted = []
    for index, declaration in enumerate(declared):
        key = (declaration.owner, declaration.folder, declaration.definition)
        before = stored.get(key)
        if first.setdefault(key, index) != index:
            errors[index, "folder"] = UsageError(
                f"The definition is declared twice, first as number {first[key] + 1}.", hint="Remove one of them."
            )
        try:
            definition = _definition(declaration, before)
            new_password = declaration.password is not None
            if new_password or definition != before:  # what SQL has stored may stay as it is
                require_valid_fields(definition, references, before, new_password=new_password)
        except InvalidFields as invalid:
            errors |= {(index, name): error for name, error in invalid.errors.items()}
        except UsageError as error:
            errors[index, "tls_ca_file"] = error
        else:
            wanted.append(definition)
    if errors:
        raise InvalidDeclarations(errors)
    return wanted


def _definition(declaration: DeclaredDefinition, before: Definition | None) -> Definition:
    """The definition as declared; it keeps the stored password, if it has a user and no reference."""
    kept = before if before is not None and declaration.user is not None and declaration.password_ref is None else None
    plain = Definition(
        folder_id=before.folder_id if before else 0,
        definition_id=before.definition_id if before else 0,
        folder=declaration.folder,
        owner=declaration.owner,
        name=declaration.definition or FIRST_DEFINITION,
        password_sealed=kept.password_sealed if kept else None,
        password_new=kept.password_new if kept else None,
        revision=before.revision if before else 1,
    )
    return declaration.applied_to(plain)


def _step(
    index: int, before: Definition | None, after: Definition, password: str | None, contacts: Mapping[int, int]
) -> Step:
    problem = _password_problem(before, after) if password is None else None
    planned = PlannedChange(
        action="add" if before is None else "edit",
        label=after.label,
        definition_id=before.definition_id if before else None,
        index=index,
        fields=dict(_changed(before, after, new_password=password is not None)),
        contacts=contacts.get(before.definition_id, 0) if before else 0,
        needs_password=problem is not None,
        password_problem=problem,
    )
    return Step(planned, before, after, password)


def _removal(stored: Definition, contacts: Mapping[int, int]) -> Step:
    planned = PlannedChange(
        action="remove",
        label=stored.label,
        definition_id=stored.definition_id,
        index=None,
        fields={},
        contacts=contacts.get(stored.definition_id, 0),
        needs_password=False,
        password_problem=None,
    )
    return Step(planned, stored, None, None)


def _password_problem(before: Definition | None, after: Definition) -> str | None:
    """Why the change needs a password that was not given; None if it needs none."""
    try:
        if before is not None:
            require_password(before, after)
        elif after.lacks_password:
            return missing_password(after.user).message
    except InvalidFields as invalid:
        return invalid.message
    return None


def _changed(before: Definition | None, after: Definition, *, new_password: bool) -> Iterator[tuple[str, FieldChange]]:
    for field in fields(Definition):
        if field.name not in _NO_FIELDS:
            pair = (getattr(before, field.name) if before else field.default, getattr(after, field.name))
            if pair[0] != pair[1]:
                yield field.name, FieldChange(before=pair[0], after=pair[1])
    had = before is not None and bool(before.password_sealed or before.password_new)
    has = new_password or bool(after.password_sealed or after.password_new)
    if had != has or new_password:
        yield "password", FieldChange(before=STORED if had else None, after=STORED if has else None)


def _identity(definition: Definition) -> tuple[str | None, str, str]:
    return definition.owner, definition.folder, definition.name


def _digest(declared: Sequence[DeclaredDefinition], stored: Sequence[Definition], *, remove_others: bool) -> str:
    """SHA-256 of the request without passwords, and of the versions of what it was compared with."""
    document = {
        "declared": [each.model_dump(mode="json", exclude={"password"}, exclude_unset=True) for each in declared],
        "stored": sorted([each.definition_id, each.revision] for each in stored),
        "remove_others": remove_others,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
