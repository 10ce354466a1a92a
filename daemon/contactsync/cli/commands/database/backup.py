"""`contactsync dump` and `contactsync restore`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from contactsync.bootstrap import database_of
from contactsync.cli.output.text import show_json, show_pairs, show_text
from contactsync.cli.prompts import confirm
from contactsync.errors import UsageError
from contactsync.operations.backup.dump import dump
from contactsync.operations.backup.restore import RestorePlan, plan_restore, restore
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def write_dump(invocation: Invocation, file: str | None, *, role: str | None, as_json: bool) -> None:
    """Write a dump and print its size. Raises UsageError, OutputError, DatabaseError."""
    invocation.log_quietly()
    if file == "-" and (as_json or sys.stdout.isatty()):
        raise UsageError("A dump is no text for a terminal or a JSON document.", hint="Redirect it to a file.")
    name = file or f"contactsync-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.dump"
    path = None if name == "-" else Path(name)
    size = dump(database_of(invocation.settings), path, role=role)
    key = invocation.settings.secrets.key_file
    if as_json:
        show_json(invocation.out, {"file": str(path), "bytes": size, "key_file": str(key)})
    elif path:
        show_text(invocation.out, f"Wrote {path} ({decimal(size)}).")
        show_text(invocation.out, f"Sealed passwords in it need the key: keep a copy of {key} in another place.")


def restore_dump(invocation: Invocation, file: Path, *, replace: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Show the plan, ask, and restore. Raises UsageError, DatabaseError."""
    invocation.log_quietly()
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", hint="Give the file that `contactsync dump` has written.")
    with database_of(invocation.settings).running() as conninfo:
        plan = plan_restore(conninfo, file, invocation.settings.secrets.key_file)
        if not as_json:
            _show_plan(invocation, plan)
        if plan.kept_as and not (replace or dry_run):
            raise UsageError(
                f"The database {plan.database} has {counted(plan.present_folders, 'folder')} with"
                f" {counted(plan.present_contacts, 'contact')}, or a history. Nothing was changed.",
                hint="With --replace they are kept in another schema, and the dump takes their place.",
            )
        if not dry_run:
            if not yes:
                confirm(f"Restore {file} into the database {plan.database}?")
            restore(conninfo, plan, invocation.actor)
    if as_json:
        show_json(invocation.out, {**plan.model_dump(), "carried_out": not dry_run})
    elif dry_run:
        show_text(invocation.out, "Nothing was changed.")
    else:
        show_text(invocation.out, f"Restored {file}.")
        for text in _next_steps(plan):
            show_text(invocation.out, text)


def _show_plan(invocation: Invocation, plan: RestorePlan) -> None:
    present = f"{counted(plan.present_folders, 'folder')}, {counted(plan.present_contacts, 'contact')}"
    passwords = f"{plan.passwords}; the key here opens {plan.passwords_fitting}" if plan.passwords else "none"
    older = f"; {counted(len(plan.migrations), 'migration')} will be applied" if plan.migrations else ""
    pairs = {
        "Dump": f"{plan.file}, of {plan.created_at}{older}",
        "In the dump": f"{counted(plan.folders, 'folder')}, {counted(plan.definitions, 'definition')}",
        "Passwords": passwords,
        "Database": plan.database,
        "In it now": f"{present}; kept as the schema {plan.kept_as}" if plan.kept_as else "nothing",
    }
    if plan.key_problem:
        pairs["Key"] = plan.key_problem
    if plan.missing_roles:
        pairs["Rights"] = f"not restored, because there is no role {', '.join(plan.missing_roles)}"
    if plan.daemon_running:
        pairs["Daemon"] = "running; restart it afterwards"
    show_pairs(invocation.out, pairs)


def _next_steps(plan: RestorePlan) -> list[str]:
    steps = []
    if plan.kept_as:
        steps.append(
            f"What was there is in the schema {plan.kept_as}. To remove it: DROP SCHEMA {plan.kept_as} CASCADE;"
        )
    if plan.missing_roles:
        steps.append("Grant the rights of programs and people again: contactsync setup, or roles.sql as a superuser.")
    if plan.daemon_running:
        steps.append("Restart the daemon.")
    return steps
