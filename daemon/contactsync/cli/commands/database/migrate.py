"""`contactsync migrate` and `contactsync setup`: the schema and the roles of a database."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from contactsync.bootstrap import database_of
from contactsync.cli.output.text import show_json, show_pairs, show_text
from contactsync.cli.prompts import confirm
from contactsync.errors import UsageError
from contactsync.fleet.setup import prepare_fleet
from contactsync.store.migration import migrate, migration_names
from contactsync.store.roles import READERS, SetupPlan, carry_out_setup, plan_setup
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def apply_migrations(invocation: Invocation, *, as_json: bool) -> None:
    """Apply the missing migrations and list all. Raises DatabaseError."""
    invocation.log_quietly()
    with database_of(invocation.settings).running() as conninfo:
        applied = migrate(conninfo)
        applied += prepare_fleet(invocation.settings, conninfo)
    names = migration_names()
    names += [name for name in applied if name not in names]
    if as_json:
        show_json(invocation.out, {"migrations": [{"name": name, "applied_now": name in applied} for name in names]})
        return
    show_pairs(invocation.out, {name: "applied now" if name in applied else "applied before" for name in names})
    show_text(invocation.out, f"Applied {counted(len(applied), 'migration')}. The schema is up to date.")


def set_up(
    invocation: Invocation, url: str | None, *, reader: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Show the plan, ask the user, and set the database up. Raises UsageError, DatabaseError."""
    invocation.log_quietly()
    url = url or invocation.settings.database.url.get_secret_value()
    if not url:
        raise UsageError(
            "The setup needs the URL of a PostgreSQL of your own.",
            hint="contactsync setup --database postgresql://contactsync@db.example.com/contactsync",
        )
    plan = plan_setup(url, reader)
    if not as_json:
        _show_plan(invocation, plan)
    if not dry_run:
        if not yes:
            confirm(f"Set up the database {plan.database}?")
        carry_out_setup(url, plan)
    if as_json:
        show_json(invocation.out, {**asdict(plan), "carried_out": not dry_run})
    else:
        text = (
            "Nothing was changed."
            if dry_run
            else "The database is set up. Put its URL into [database] url of settings.toml."
        )
        show_text(invocation.out, text)


def _show_plan(invocation: Invocation, plan: SetupPlan) -> None:
    migrations = counted(len(plan.migrations), "migration")
    pairs = {
        "Database": f"{plan.database}, as the role {plan.role}",
        "Schema": f"contactsync: {migrations} to apply" if plan.migrations else "contactsync is up to date",
        "Groups": f"to create: {', '.join(plan.groups)}"
        if plan.groups
        else "all there; their rights are granted again",
    }
    if plan.reader:
        pairs["Reader"] = f"{plan.reader}, a login role in {READERS}; set its password with \\password in psql"
    show_pairs(invocation.out, pairs)
