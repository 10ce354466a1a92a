"""`contactsync tokens ...`: the tokens of programs that use the API over TLS."""

from __future__ import annotations

from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.options import Json

tokens = typer.Typer(
    help="Tokens of programs on other machines, which use the API over TLS ([api] listen in settings.toml).",
    invoke_without_command=True,
)

TokenName = Annotated[str, typer.Argument(metavar="NAME", help="The name of the token.", show_default=False)]


@tokens.callback()
def tokens_help(context: typer.Context) -> None:
    """Without a command, show the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)


@tokens.command("add", short_help="Add a token and print it, once.")
def add_command(  # noqa: PLR0913 -- one for each option
    context: typer.Context,
    *,
    name: TokenName,
    may: Annotated[str, typer.Option(metavar="RIGHTS", help="Some of read, sync, edit, decide, separated by commas.")],
    folders: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="For this folder: Staff, or anna/Private. May be repeated."),
    ] = None,
    owners: Annotated[
        list[str] | None,
        typer.Option(metavar="OWNER", help="For all personal folders of this owner, also new ones. May be repeated."),
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="For all folders.")] = False,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Valid for so long: 12h, 90d, 8w; by default until revoked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a token and print it. It is shown only now: contactsync stores a digest of it.

    read: folders, contacts, runs, audit. sync: request runs. edit: definitions and their passwords; check, browse and
    preview settings. decide: approve, reject, undo and cancel. Each right is separate.

    \b
    contactsync tokens add helpdesk --folders Staff --may read,sync,edit --expires 90d
    contactsync tokens add backup-check --everything --may read --json | jq -r .token
    """
    from contactsync.cli.commands.tokens import add_token

    scope = {"folders": folders or [], "owners": owners or [], "everything": everything}
    add_token(invocation_of(context), may, as_json=as_json, name=name, expires=expires, **scope)


@tokens.command("list", short_help="List all tokens.")
def list_command(context: typer.Context, *, as_json: Json = False) -> None:
    """List all tokens: what they may do, for which folders, and when they were last used.

    \b
    contactsync tokens list
    contactsync tokens list --json | jq '.[] | select(.state == "valid") | .name'
    """
    from contactsync.cli.commands.tokens import show_tokens

    show_tokens(invocation_of(context), as_json=as_json)


@tokens.command("revoke", short_help="Revoke a token.")
def revoke_command(context: typer.Context, *, name: TokenName, as_json: Json = False) -> None:
    """Revoke a token. The daemon refuses it within a second. Its name can be used again.

    \b
    contactsync tokens revoke helpdesk
    """
    from contactsync.cli.commands.tokens import revoke_token

    revoke_token(invocation_of(context), name, as_json=as_json)
