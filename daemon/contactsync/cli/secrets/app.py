"""`contactsync secrets key ...`: the key that seals bind passwords, from one machine to another."""

from __future__ import annotations

from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.options import Json

secrets_app = typer.Typer(help="The key that seals bind passwords.", invoke_without_command=True)
key_app = typer.Typer(help="Carry the key that seals bind passwords to another machine.", invoke_without_command=True)
secrets_app.add_typer(key_app, name="key", short_help="Export and import the key.")


@secrets_app.callback()
def secrets_help(context: typer.Context) -> None:
    """Without a command, show the help."""
    _show_help(context)


@key_app.callback()
def key_help(context: typer.Context) -> None:
    """Without a command, show the help."""
    _show_help(context)


@key_app.command("export", short_help="Write the key to a file, to be carried to another machine.")
def export_command(
    context: typer.Context,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file, or - for standard output.")] = "-",
    show: Annotated[bool, typer.Option("--show", help="Also if standard output is a terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Write the key of this machine, in the form of a key file: one line of base64. A new file gets mode 0600.

    Whoever has the key and the database can read all passwords. A terminal gets it only with --show.

    \b
    contactsync secrets key export /root/contactsync.key
    contactsync secrets key export | ssh node-b contactsync secrets key import
    """
    from contactsync.cli.secrets.commands import export_key

    export_key(invocation_of(context), file, show=show, as_json=as_json)


@key_app.command("import", short_help="Install the key of another machine.")
def import_command(
    context: typer.Context,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A key file, or - for standard input.")] = "-",
    as_json: Json = False,
) -> None:
    """Install a key as [secrets] key_file, with the owner of its directory and mode 0600.

    It is compared with the database, if that can be read: a key that opens none of the stored passwords is refused. A
    key file that is there is replaced only if no stored password needs it.

    \b
    contactsync secrets key import /root/contactsync.key
    """
    from contactsync.cli.secrets.commands import import_key_file

    import_key_file(invocation_of(context), file, as_json=as_json)


def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)
