"""The commands and what they have in common: global options, errors as one sentence, exit codes."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it runs, so that help and completion come at once
# ruff: noqa: D301 -- \b is for typer: the lines after it are left as they are

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from contactsync.cli.context import Invocation, invocation_of
from contactsync.cli.errors import EXIT_CODES, ExitCode, show_error, show_usage_error
from contactsync.cli.folders_app import Json, folders
from contactsync.cli.options import CONNECTION, DefinitionOptions, with_definition_options
from contactsync.cli.runs_app import past
from contactsync.errors import ContactsyncError, UsageError

MaybeName = Annotated[str | None, typer.Argument(metavar="NAME", help="The folder or definition.", show_default=False)]

app = typer.Typer(
    help="Keeps contact folders in PostgreSQL in step with LDAP directories.",
    epilog=EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    invoke_without_command=True,
)
app.add_typer(past)
app.add_typer(folders, name="folders", short_help="Look at folders and at what fills them, and edit it.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (sys.argv's if None) and return its exit code; the console script `contactsync`."""
    invocation = Invocation()
    try:
        _check_text(sys.argv[1:] if arguments is None else arguments)
        code = app(arguments, prog_name="contactsync", standalone_mode=False, obj=invocation)
    except ContactsyncError as error:
        return show_error(error, invocation.err)
    except typer.TyperException as error:
        return show_usage_error(error, invocation.err)
    except (typer.Abort, KeyboardInterrupt):
        invocation.err.print("Interrupted.")
        return ExitCode.INTERRUPTED
    return int(code or ExitCode.DONE)


def _check_text(arguments: Sequence[str]) -> None:
    """Raise UsageError for an argument that neither PostgreSQL nor a directory would take."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:  # Python's escapes for octets that are no UTF-8 (PEP 383)
            raise UsageError(
                f'"{argument}" is not text in UTF-8.', hint="Check the encoding of the terminal."
            ) from None


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- typer's signature for a callback
    if wanted:
        from importlib.metadata import version

        typer.echo(f"contactsync {version('contactsync')}")
        raise typer.Exit


@app.callback()
def global_options(
    context: typer.Context,
    *,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The settings file; else $CONTACTSYNC_SETTINGS, /etc/contactsync/settings.toml or ./settings.toml.",
        ),
    ] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, help="Log more to stderr; twice for everything."
        ),
    ] = 0,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take in what holds for every command; show the help when none is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)
    invocation = invocation_of(context)
    invocation.settings_file, invocation.verbosity = settings, verbose


@app.command("sync", short_help="Bring a folder, or all, in step now.")
def sync_command(
    context: typer.Context,
    *,
    name: MaybeName = None,
    everything: Annotated[bool, typer.Option("--all", help="All folders, but for paused definitions.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end, or leave it to the daemon.")] = True,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless something is wrong.")] = False,
) -> int:
    """Bring a folder in step with its directory now: by the daemon when one is alive, else without it.

    What runs already is run once more afterwards, since the directory may have changed meanwhile. A run that would
    delete too much is held: it changes nothing and ends with exit code 3. A folder's name means all of its
    definitions.

    \b
    contactsync sync Staff
    contactsync sync --all --no-wait
    contactsync sync anna/Private --json | jq .runs[0].outcome
    """
    from contactsync.cli.commands.sync import sync

    if (name is None) is not everything:
        raise UsageError("Give either a NAME or --all.", hint="`contactsync folders list` shows the names.")
    return sync(invocation_of(context), name, wait=wait, as_json=as_json, quiet=quiet)


@app.command("check", short_help="Find out what is wrong with a definition, step by step.")
@with_definition_options
def check_command(
    context: typer.Context,
    *,
    name: MaybeName = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Check this before it is saved; see `folders add --help`.")
    ] = None,
    as_json: Json = False,
    options: DefinitionOptions,
) -> int:
    """Walk from the definition to the first plan, and say at each step what is wrong and what to do. Changes nothing.

    Options that are given stand in for what is stored, so an edit can be tried before it is made. Ends with 1 when a
    step failed; warnings are no failure.

    \b
    contactsync check Staff
    contactsync check Staff --filter '(department=Sales)'
    contactsync check --query ldaps://dc1.example.com --user reader@example.com
    """
    from contactsync.cli.commands.check import check_folder

    return check_folder(invocation_of(context), name, query, options, as_json=as_json)


@app.command("browse", short_help="Look around in a directory to find the base.")
@partial(with_definition_options, only=CONNECTION)
def browse_command(
    context: typer.Context,
    *,
    name: MaybeName = None,
    base: Annotated[
        str | None, typer.Argument(metavar="BASE", help="Show what is below this entry.", show_default=False)
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Instead of NAME, a directory that no folder has yet.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="ENTRIES", min=1, max=10_000, help="How many entries of a level to show.")
    ] = 100,
    as_json: Json = False,
    options: DefinitionOptions,
) -> None:
    """Show one level of a directory: the naming contexts with what is right below them, or what is below BASE.

    \b
    contactsync browse Staff
    contactsync browse Staff 'OU=Users,DC=example,DC=com'
    contactsync browse --query dc1.example.com --user reader@example.com
    """
    from contactsync.cli.commands.browse import browse_directory

    words = (name, base)
    browse_directory(invocation_of(context), words, query, options, limit=limit, as_json=as_json)


@app.command("status", short_help="Show what runs, on which database, and how it went.")
def status_command(context: typer.Context, *, as_json: Json = False) -> None:
    """Show whether a daemon is running, how the folders do, the newest runs, and which database is used.

    \b
    contactsync status
    contactsync status --json | jq .daemon_running
    """
    from contactsync.cli.commands.status import show_status

    show_status(invocation_of(context), as_json=as_json)


@app.command("daemon", short_help="Keep all folders in step by their schedules.")
def daemon_command(context: typer.Context) -> int:
    """Keep all folders in step by their schedules until told to stop (SIGTERM or Ctrl-C).

    Service managers start this one; it logs to stderr.

    \b
    contactsync --settings /etc/contactsync/settings.toml daemon
    """
    from contactsync.service.main import run_daemon

    invocation = invocation_of(context)
    invocation.log_as_set()
    return run_daemon(invocation.settings, invocation.reread)


@app.command("migrate", short_help="Bring the database to the newest schema.")
def migrate_command(context: typer.Context, *, as_json: Json = False) -> None:
    """Bring the database to the newest schema. Every other command does so too; this one says what it took.

    \b
    contactsync migrate
    """
    from contactsync.cli.commands.migrate import apply_migrations

    apply_migrations(invocation_of(context), as_json=as_json)


@app.command("demo", short_help="Watch it work on a real directory, all private.")
def demo_command(context: typer.Context) -> int:
    """Watch a real directory arrive in contact folders and stay in step; everything is private and made on the spot.

    \b
    contactsync demo
    """
    from contactsync.demo.story import run_demo

    return run_demo(console=invocation_of(context).out)
