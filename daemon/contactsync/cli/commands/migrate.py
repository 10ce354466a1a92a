"""`contactsync migrate`: brings the database to the newest schema and says what that took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.bootstrap import database
from contactsync.cli.output.render import counted, show_json, show_text
from contactsync.store.migration import migrate, migration_names

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def apply_migrations(invocation: Invocation, *, as_json: bool) -> None:
    """Apply what is missing. Raises DatabaseError."""
    invocation.log_quietly()
    with database(invocation.settings) as conninfo:
        applied = migrate(conninfo)
    known = migration_names()
    if as_json:
        show_json(invocation.out, {"migrations": [{"name": name, "applied_now": name in applied} for name in known]})
        return
    for name in known:
        show_text(invocation.out, f"{name}  {'applied now' if name in applied else 'was there'}")
    show_text(invocation.out, f"Applied {counted(len(applied), 'migration')}; the schema is the newest.")
