"""The commands about what would change, what changed, and why."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it runs, so that help and completion come at once
# ruff: noqa: D301 -- \b is for typer: the lines after it are left as they are

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from contactsync.cli.context import invocation_of
from contactsync.cli.folders_app import Json, Name

RunNumber = Annotated[
    int, typer.Argument(metavar="RUN", min=1, help="The run's number; `contactsync runs` lists them.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option(metavar="N", min=0, help="Show so many contacts at most; 0 for all.")]

CONTACTS_SHOWN = 20

past = typer.Typer()


class _ListsByDefault(TyperGroup):
    """`runs`, `runs NAME` and `runs --limit 5` list; `runs show RUN` shows one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


_RUNS_HELP = """List the newest runs, of all folders or of one, or show one run.

\b
contactsync runs
contactsync runs Staff --limit 100
contactsync runs --json
contactsync runs show 12
"""

runs = typer.Typer(cls=_ListsByDefault, help=_RUNS_HELP)
past.add_typer(runs, name="runs", short_help="List runs, or show one with all that it changed.")


@past.command("preview", short_help="Show what a run would change, and change nothing.")
def preview_command(context: typer.Context, *, name: Name, limit: Limit = CONTACTS_SHOWN, as_json: Json = False) -> int:
    """Show what a run would do now, contact by contact, and change nothing.

    It is the real plan over the real directory, taken back at the end. Exit codes: 0 nothing would change; 2 something
    would; 3 the run would be held.

    \b
    contactsync preview Staff
    contactsync preview Staff --limit 0
    contactsync preview Staff --json | jq '.changes[] | select(.action == "delete")'
    """
    from contactsync.cli.commands.preview import preview

    return preview(invocation_of(context), name, limit=limit, as_json=as_json)


@past.command("approve", short_help="Allow what a held run would delete.")
def approve_command(context: typer.Context, *, run: RunNumber, limit: Limit = CONTACTS_SHOWN, yes: Yes = False) -> int:
    """Allow exactly the deletions of a held run, and have its definition run.

    A run that would delete more than those is held again. The approval is used up by the next run that is not held. It
    is void once the definition is edited, and expires ([guard] approval_days in settings.toml); until it is used it
    can be taken back with `contactsync reject`.

    \b
    contactsync approve 12
    contactsync approve 12 --yes
    """
    from contactsync.cli.commands.decide import approve_run

    return approve_run(invocation_of(context), run, limit=limit, yes=yes)


@past.command("reject", short_help="Discard what a held run would do.")
def reject_command(context: typer.Context, *, run: RunNumber) -> None:
    """Discard a held run's plan, or take its approval back. The next run makes a plan of its own.

    \b
    contactsync reject 12
    """
    from contactsync.cli.commands.decide import reject_run

    reject_run(invocation_of(context), run)


@past.command("undo", short_help="Take back what a run changed.")
def undo_command(context: typer.Context, *, run: RunNumber, yes: Yes = False, as_json: Json = False) -> None:
    """Take back what a run changed, and pause its definition, so that the next run does not do it again.

    It is done whole or not at all: where a later run or a person changed the same fields, it is refused and the
    contacts are named. The undo is a run itself and can be taken back too. Photos that were replaced or removed do not
    come back, since they are not kept.

    \b
    contactsync undo 12
    contactsync undo 12 --yes --json
    """
    from contactsync.cli.commands.undo import undo_run

    undo_run(invocation_of(context), run, yes=yes, as_json=as_json)


@past.command("history", short_help="Show who changed what in a contact, and when.")
def history_command(
    context: typer.Context,
    *,
    name: Name,
    contact: Annotated[
        str, typer.Argument(metavar="CONTACT", help="Its name or a part of it, an email, or its number.")
    ],
    as_json: Json = False,
) -> None:
    """Show what runs and people changed in a contact, field by field, the newest last; also of one that is gone.

    \b
    contactsync history Staff 'Anna Berger'
    contactsync history Staff anna@example.com --json
    """
    from contactsync.cli.commands.history import show_history

    show_history(invocation_of(context), name, contact, as_json=as_json)


@past.command("explain", short_help="Say why somebody is in a folder, or is not.")
def explain_command(
    context: typer.Context,
    *,
    name: Name,
    somebody: Annotated[
        str, typer.Argument(metavar="SOMEBODY", help="A name or a part of it, an email, a uid, or a DN.")
    ],
    as_json: Json = False,
) -> None:
    """Say why somebody is in a folder, or is not: brought, deleted, rejected, held, filtered out, or never seen.

    The directory is asked about somebody who is not in the folder.

    \b
    contactsync explain Staff 'Anna Berger'
    contactsync explain Staff uid=anna,ou=people,dc=example,dc=com
    """
    from contactsync.cli.commands.explain import show_explanation

    show_explanation(invocation_of(context), name, somebody, as_json=as_json)


@runs.command("list", hidden=True)
def list_command(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only those of this folder.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest runs, of all folders or of NAME, the newest first.

    \b
    contactsync runs
    contactsync runs Staff --limit 100
    contactsync runs show 12
    """
    from contactsync.cli.commands.runs import list_runs

    list_runs(invocation_of(context), name, limit=limit, as_json=as_json)


@runs.command("show", short_help="Show one run with all that it changed, or would change.")
def show_command(
    context: typer.Context, *, run: RunNumber, limit: Limit = CONTACTS_SHOWN, as_json: Json = False
) -> None:
    """Show one run: how it went, what it changed contact by contact, and for a held run what it would change.

    \b
    contactsync runs show 12
    contactsync runs show 12 --limit 0 --json
    """
    from contactsync.cli.commands.runs import show_run

    show_run(invocation_of(context), run, limit=limit, as_json=as_json)
