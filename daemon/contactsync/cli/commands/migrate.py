"""`contactsync migrate`: the migrations of the database's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.bootstrap import database_of
from contactsync.cli.output.text import show_json, show_pairs, show_text
from contactsync.store.migration import migrate, migration_names
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def apply_migrations(invocation: Invocation, *, as_json: bool) -> None:
    """Apply the missing migrations and list all. Raises DatabaseError."""
    invocation.log_quietly()
    with database_of(invocation.settings).running() as conninfo:
        applied = migrate(conninfo)
    names = migration_names()
    if as_json:
        show_json(invocation.out, {"migrations": [{"name": name, "applied_now": name in applied} for name in names]})
        return
    show_pairs(invocation.out, {name: "applied now" if name in applied else "applied before" for name in names})
    show_text(invocation.out, f"Applied {counted(len(applied), 'migration')}. The schema is up to date.")
