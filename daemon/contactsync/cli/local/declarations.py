"""The paths of definitions by their names, for a command without a daemon: export, plan, apply, rename."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from contactsync.bootstrap import bind_passwords
from contactsync.errors import UsageError

if TYPE_CHECKING:
    from contactsync.cli.local.api import LocalApi

Model = TypeVar("Model", bound=BaseModel)


def export(api: LocalApi, name: Sequence[str] = ()) -> Any:
    """Definitions in the form of a request."""
    from contactsync.operations.declared.export import export_definitions

    exported = export_definitions(api.connection, name)
    return {"definitions": [each.model_dump(exclude_unset=True) for each in exported]}


def plan(api: LocalApi, body: Any) -> Any:
    """What declared definitions would change."""
    from contactsync.operations.declared.fields import Declarations
    from contactsync.operations.declared.plan import compare

    return compare(api.connection, bind_passwords(api.settings).references, _parsed(Declarations, body)).plan


def apply(api: LocalApi, body: Any) -> Any:
    """Make the definitions the declared ones."""
    from contactsync.operations.declared.apply import apply_definitions
    from contactsync.operations.declared.fields import AppliedDeclarations

    passwords, declarations = bind_passwords(api.settings), _parsed(AppliedDeclarations, body)
    return apply_definitions(api.connection, passwords, declarations, api.invocation.actor)


def rename(api: LocalApi, body: Any) -> Any:
    """Rename a folder or a definition."""
    from contactsync.operations.declared import rename as operations

    renaming = _parsed(operations.Renaming, body)
    return operations.rename(api.connection, bind_passwords(api.settings), renaming, api.invocation.actor)


def _parsed(model: type[Model], body: Any) -> Model:
    """The body of a request. Raises UsageError for one that the API would refuse too."""
    try:
        return model.model_validate(body)
    except ValidationError as invalid:
        texts = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}."
            for each in invalid.errors(include_url=False, include_input=False)
        ]
        raise UsageError(" ".join(texts)) from None


ROUTES: dict[str, Callable[..., Any]] = {
    "GET /v1/definitions/export": export,
    "POST /v1/definitions/plan": plan,
    "POST /v1/definitions/apply": apply,
    "POST /v1/definitions/rename": rename,
}
"""The function of each path; see contactsync.cli.local.api."""
