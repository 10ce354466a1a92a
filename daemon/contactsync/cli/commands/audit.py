"""`contactsync audit`: who did what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, show_json, show_text
from contactsync.operations.audit import list_audit
from contactsync.operations.names import find_all
from contactsync.text import MOMENT

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.operations.audit import Deed

_COLUMNS = ("When", "Who", "By", "What", "Folder", "Details")
_SHOWN = 60


def show_audit(invocation: Invocation, name: str | None, *, limit: int, as_json: bool) -> None:
    """Print the newest deeds of users, of all definitions or of those with this name. Raises UsageError, DatabaseError.

    The name of a removed definition is not found; its deeds are among those of all.
    """
    with invocation.connection() as connection:
        ids = None if name is None else [definition.definition_id for definition in find_all(connection, name)]
        deeds = list_audit(connection, ids, limit=limit)
    if as_json:
        show_json(invocation.out, [deed.model_dump() for deed in deeds])
    elif deeds:
        show_table(invocation.out, _COLUMNS, [_row(deed) for deed in reversed(deeds)])
    else:
        show_text(invocation.out, "Nothing was done yet.")


def _row(deed: Deed) -> list[str]:
    details = [f"run {deed.run_id}"] if deed.run_id else []
    if deed.action in {"definition.edited", "folder.edited"}:
        after = deed.after or {}
        details += [
            f"{name}: {_shown(value)} -> {_shown(after.get(name))}" for name, value in (deed.before or {}).items()
        ]
    when = f"{deed.at.astimezone():{MOMENT}}"
    return [when, deed.actor, deed.via, deed.action, deed.label or "all", "; ".join(details) or NOTHING]


def _shown(value: Any) -> str:
    text = "default" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
