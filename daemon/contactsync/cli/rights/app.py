"""`contactsync folders rights ...`: who may see and who may edit a folder at the web console."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.options import Json, Name

rights = typer.Typer(
    help="Who may see and who may edit a folder at the web console, besides administrators.",
    invoke_without_command=True,
)

Who = Annotated[
    str, typer.Argument(metavar="WHO", help="A person as the sign-in names it, or a group.", show_default=False)
]
Group = Annotated[bool, typer.Option("--group", help="WHO is a group: its DN, or its name.")]


class Right(StrEnum):
    """What a person may do in a folder."""

    VIEW = "view"
    EDIT = "edit"


@rights.callback()
def rights_help(context: typer.Context) -> None:
    """Without a command, show the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)


@rights.command("show", short_help="Show the rights in a folder.")
def show_command(context: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Show who may see and who may edit a folder.

    Everyone who signs in may see a shared folder, until a person or a group gets the right to view it. The owner of a
    personal folder needs no right.

    \b
    contactsync folders rights show Staff
    """
    from contactsync.cli.rights.commands import show_rights

    show_rights(invocation_of(context), name, as_json=as_json)


@rights.command("grant", short_help="Give a right in a folder.")
def grant_command(
    context: typer.Context,
    *,
    name: Name,
    who: Who,
    may: Annotated[Right, typer.Option("--may", help="What WHO may do; edit includes view.")],
    group: Group = False,
    as_json: Json = False,
) -> None:
    """Give a person or a group a right in a folder, in place of the one before. It counts for the next request.

    \b
    contactsync folders rights grant Staff anna --may edit
    contactsync folders rights grant Staff 'CN=Sales,OU=Groups,DC=example,DC=com' --group --may view
    """
    from contactsync.cli.rights.commands import grant_right

    grant_right(invocation_of(context), name, who, may.value, group=group, as_json=as_json)


@rights.command("revoke", short_help="Take a right in a folder away.")
def revoke_command(
    context: typer.Context, *, name: Name, who: Who, group: Group = False, as_json: Json = False
) -> None:
    """Take the right of a person or a group in a folder away.

    \b
    contactsync folders rights revoke Staff anna
    """
    from contactsync.cli.rights.commands import revoke_right

    revoke_right(invocation_of(context), name, who, group=group, as_json=as_json)
