"""`contactsync settings ...`: the settings of the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.options import Json

_HELP = """Print settings.toml of this release: every setting with its meaning, its unit and its default.

\b
contactsync settings > settings.toml
contactsync settings check settings.toml
contactsync settings show
"""

settings_app = typer.Typer(help=_HELP, invoke_without_command=True)


@settings_app.callback()
def print_command(context: typer.Context) -> None:
    """Without a command, print the file."""
    if context.invoked_subcommand is None:
        from contactsync.cli.commands.settings import print_documented

        print_documented(invocation_of(context))


@settings_app.command("check", short_help="Check a settings file, and list all its mistakes.")
def check_command(
    context: typer.Context,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="By default the file that the commands use here.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> int:
    """Check a settings file and the environment, and list all mistakes: file, line, and what is allowed.

    Environment variables CONTACTSYNC_* override the file, so they are checked too. The exit code is 78 if there is a
    mistake. Nothing is changed.

    \b
    contactsync settings check
    contactsync settings check /etc/contactsync/settings.toml
    """
    from contactsync.cli.commands.settings import check_settings

    return check_settings(invocation_of(context), file, as_json=as_json)


@settings_app.command("show", short_help="Show the settings in force, and where each comes from.")
def show_command(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show settings with their default, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the settings in force, and where each value comes from: the environment, a line of a file, or the default.

    They are those of the running daemon. Without one, they are those that a daemon would use if it started here. A
    secret is not shown, only whether it is set.

    \b
    contactsync settings show
    contactsync settings show --all
    contactsync settings show --json | jq '.settings[] | select(.source != "default")'
    """
    from contactsync.cli.commands.settings import show_settings

    show_settings(invocation_of(context), everything=everything, as_json=as_json)
