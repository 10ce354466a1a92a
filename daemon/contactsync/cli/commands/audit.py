"""`contactsync audit`: who did what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import items
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, at, show_json, show_text

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation

_COLUMNS = ("When", "Who", "By", "What", "Folder", "Details")
_SHOWN = 60


def show_audit(invocation: Invocation, name: str | None, *, limit: int, as_json: bool) -> None:
    """Print the newest deeds of users, of all definitions or of those with this name. Raises UsageError, DatabaseError.

    The name of a removed definition is not found; its deeds are among those of all.
    """
    with invocation.api() as api:
        deeds = list(items(api, "/v1/audit", "deeds", most=limit, name=name))
    if as_json:
        show_json(invocation.out, deeds)
    elif deeds:
        show_table(invocation.out, _COLUMNS, [_row(deed) for deed in reversed(deeds)])
    else:
        show_text(invocation.out, "Nothing was done yet.")


def _row(deed: Mapping[str, Any]) -> list[str]:
    details = [f"run {deed['run_id']}"] if deed["run_id"] else []
    if deed["action"] in {"definition.edited", "folder.edited"}:
        after = deed["after"] or {}
        details += [
            f"{name}: {_shown(value)} -> {_shown(after.get(name))}" for name, value in (deed["before"] or {}).items()
        ]
    if token := (deed["after"] or {}).get("token"):
        details.append(f"token {token}")
    actor = {"token": "token {}", "web": "{} (web)"}.get(deed["actor_kind"], "{}").format(deed["actor"])
    who = (actor, deed["via"], deed["action"], deed["label"] or "all")
    return [at(deed["at"]), *who, "; ".join(details) or NOTHING]


def _shown(value: Any) -> str:
    text = "default" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
