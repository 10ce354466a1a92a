"""The commands about what would change, what changed, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from contactsync.cli.context import invocation_of
from contactsync.cli.options import Json, Name, OptionalName, Yes


def _complete_run(ctx: typer.Context, incomplete: str) -> Any:
    from contactsync.cli.completion import complete_run

    return complete_run(ctx, incomplete)


def _complete_run_or_name(ctx: typer.Context, incomplete: str) -> Any:
    from contactsync.cli.completion import complete_run_or_name

    return complete_run_or_name(ctx, incomplete)


RunNumber = Annotated[
    int,
    typer.Argument(
        metavar="RUN",
        min=1,
        help="The number of a run; `contactsync runs` lists them.",
        autocompletion=_complete_run,
    ),
]
Limit = Annotated[int, typer.Option(metavar="N", min=0, help="Show at most N contacts; 0 for all.")]

CONTACTS_SHOWN = 20

runs_app = typer.Typer()


class _ListsByDefault(TyperGroup):
    """`runs`, `runs NAME` and `runs --limit 5` list; `runs show RUN` shows one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


_RUNS_HELP = """List the last runs, of all folders or of one, or show one run.

\b
contactsync runs
contactsync runs Staff --limit 100
contactsync runs --json
contactsync runs show 12
"""

runs = typer.Typer(cls=_ListsByDefault, help=_RUNS_HELP)
runs_app.add_typer(runs, name="runs", short_help="List runs, or show one run with its changes.")


@runs_app.command("preview", short_help="Show what a run would change, without changing it.")
def preview_command(
    context: typer.Context,
    *,
    name: Name,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Show N contacts with all fields, 0 for all; by default a screen."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Show what a run would change now, contact by contact, without changing it.

    The plan is the one that a run would make; its transaction is rolled back. Exit codes: 0 no changes; 2 changes; 3
    the run would be held.

    \b
    contactsync preview Staff
    contactsync preview Staff --limit 0
    contactsync preview Staff --json | jq '.changes[] | select(.action == "delete")'
    """
    from contactsync.cli.commands.preview import preview

    return preview(invocation_of(context), name, limit=limit, as_json=as_json)


@runs_app.command("approve", short_help="Allow what a held run would lose.")
def approve_command(
    context: typer.Context, *, run: RunNumber, limit: Limit = CONTACTS_SHOWN, yes: Yes = False, as_json: Json = False
) -> int:
    """Allow exactly the deletions and cleared fields of a held run, and run its definition.

    A run that would delete or clear more is held again. The next run that is not held uses up the approval. An edit
    of the definition makes the approval void, and it expires ([guard] approval_days in settings.toml). Until it is
    used, `contactsync reject` takes it back.

    \b
    contactsync approve 12
    contactsync approve 12 --yes
    """
    from contactsync.cli.commands.decisions.decide import approve_run

    return approve_run(invocation_of(context), run, limit=limit, yes=yes, as_json=as_json)


@runs_app.command("reject", short_help="Discard the plan of a held run.")
def reject_command(context: typer.Context, *, run: RunNumber, as_json: Json = False) -> None:
    """Discard the plan of a held run, or take its approval back. The next run makes a new plan.

    \b
    contactsync reject 12
    """
    from contactsync.cli.commands.decisions.decide import reject_run

    reject_run(invocation_of(context), run, as_json=as_json)


@runs_app.command("cancel", short_help="Cancel a run of the daemon.")
def cancel_command(
    context: typer.Context,
    *,
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|NAME",
            help="The number of a run, or the name of a folder or a definition.",
            autocompletion=_complete_run_or_name,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Cancel a run of the daemon before it applies its changes, or the runs of a folder, also those that wait.

    A run that applies its changes already still ends. Without a daemon, Ctrl-C cancels the run of `contactsync sync`.

    \b
    contactsync cancel 12
    contactsync cancel Staff
    """
    from contactsync.cli.commands.decisions.cancel import cancel

    cancel(invocation_of(context), target, as_json=as_json)


@runs_app.command("undo", short_help="Undo the changes of a run.")
def undo_command(context: typer.Context, *, run: RunNumber, yes: Yes = False, as_json: Json = False) -> None:
    """Undo the changes of a run, and pause its definition so that the next run does not repeat them.

    An undo is complete or refused: if a later run or a user changed the same fields, the message names the contacts.
    The undo is a run itself and can be undone too. Photos that were replaced or removed cannot be restored, because
    they are not kept.

    \b
    contactsync undo 12
    contactsync undo 12 --yes --json
    """
    from contactsync.cli.commands.decisions.undo import undo_run

    undo_run(invocation_of(context), run, yes=yes, as_json=as_json)


@runs_app.command("history", short_help="Show who changed a contact, and when.")
def history_command(
    context: typer.Context,
    *,
    name: Name,
    contact: Annotated[
        str, typer.Argument(metavar="CONTACT", help="A name or a part of it, an email address, or a contact's number.")
    ],
    as_json: Json = False,
) -> None:
    """Show what runs and users changed in a contact, field by field, the newest change last.

    A deleted contact has its history too.

    \b
    contactsync history Staff 'Anna Berger'
    contactsync history Staff anna@example.com --json
    """
    from contactsync.cli.commands.history import show_history

    show_history(invocation_of(context), name, contact, as_json=as_json)


@runs_app.command("explain", short_help="Explain why a person is in a folder or not.")
def explain_command(
    context: typer.Context,
    *,
    name: Name,
    person: Annotated[
        str, typer.Argument(metavar="PERSON", help="A name or a part of it, an email address, a uid, or a DN.")
    ],
    as_json: Json = False,
) -> None:
    """Explain why a person is in a folder or not: added, deleted, rejected, held, filtered out, or never seen.

    The directory is searched for a person who is not in the folder.

    \b
    contactsync explain Staff 'Anna Berger'
    contactsync explain Staff uid=anna,ou=people,dc=example,dc=com
    """
    from contactsync.cli.commands.explain import show_explanation

    show_explanation(invocation_of(context), name, person, as_json=as_json)


@runs_app.command("audit", short_help="Show who did what: edits, decisions, requests.")
def audit_command(
    context: typer.Context,
    *,
    name: OptionalName = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Show at most N deeds.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what users did, the newest last: edits of definitions, decisions about runs, requests, passwords set.

    Edits by SQL are shown too. A password itself is never shown.

    \b
    contactsync audit
    contactsync audit Staff --limit 5
    contactsync audit --json | jq '.[] | select(.action == "definition.edited")'
    """
    from contactsync.cli.commands.audit import show_audit

    show_audit(invocation_of(context), name, limit=limit, as_json=as_json)


@runs.command("list", short_help="List the last runs; `list` may be left out.")
def list_command(
    context: typer.Context,
    *,
    name: OptionalName = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Show at most N runs.")] = 20,
    as_json: Json = False,
) -> None:
    """List the last runs, of all folders or of NAME, the newest first.

    \b
    contactsync runs
    contactsync runs Staff --limit 100
    """
    from contactsync.cli.commands.runs import list_newest

    list_newest(invocation_of(context), name, limit=limit, as_json=as_json)


@runs.command("show", short_help="Show one run with its changes.")
def show_command(
    context: typer.Context, *, run: RunNumber, limit: Limit = CONTACTS_SHOWN, as_json: Json = False
) -> None:
    """Show one run: its outcome, and what it changed, contact by contact; for a held run, what it would change.

    \b
    contactsync runs show 12
    contactsync runs show 12 --limit 0 --json
    """
    from contactsync.cli.commands.runs import show_run

    show_run(invocation_of(context), run, limit=limit, as_json=as_json)
