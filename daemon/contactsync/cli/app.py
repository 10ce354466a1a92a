"""The command `contactsync`: its global options and the commands that belong to no group."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import typer.main

from contactsync import __version__
from contactsync.cli.coercion import without_pydantic
from contactsync.cli.context import Invocation, invocation_of
from contactsync.cli.errors import EXIT_CODES, ExitCode, Interrupted, show_error, show_interruption, show_usage_error
from contactsync.cli.fleet.app import fleet_app
from contactsync.cli.folders_app import folders
from contactsync.cli.installation_app import database_app, files_app, settings_app
from contactsync.cli.options import CONNECTION, DefinitionOptions, Json, OptionalName, with_definition_options
from contactsync.cli.runs_app import runs_app
from contactsync.cli.secrets.app import secrets_app
from contactsync.cli.streams import check_output, flush_output, open_missing_streams
from contactsync.cli.tokens_app import tokens
from contactsync.cli.web_app import web_app
from contactsync.errors import ContactsyncError, UsageError
from contactsync.log.library import import_structlog

_NARROW = 52
_COLLECT_AFTER = 100_000
"""Objects until a garbage collection, which took a tenth of the time of a command: it loads much and leaves little."""


def _narrow_width() -> int | None:
    """The width of a terminal in which typer's help, of at least 50 columns, has no room; else None."""
    columns = shutil.get_terminal_size().columns
    return columns if columns < _NARROW else None


app = typer.Typer(
    help="Keeps contact folders in PostgreSQL in sync with LDAP directories.",
    epilog=EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "terminal_width": _narrow_width()},
    invoke_without_command=True,
)
app.add_typer(runs_app)
app.add_typer(database_app)
app.add_typer(folders, name="folders", short_help="List, show and edit folders and their definitions.")
app.add_typer(files_app, name="files", short_help="List and copy out units, SQL, alert rules, completion, man pages.")
app.add_typer(fleet_app, name="fleet", short_help="Show and drain the daemons that share the definitions.")
app.add_typer(secrets_app, name="secrets", short_help="Export and import the key that seals passwords.")
app.add_typer(settings_app, name="settings", short_help="Print, check and show the settings.")
app.add_typer(tokens, name="tokens", short_help="Add, list and revoke tokens of programs on other machines.")
app.add_typer(web_app, name="web", short_help="Serve the web console, and sign in to it.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (by default sys.argv) and return its exit code; the console script `contactsync`."""
    gc.set_threshold(_COLLECT_AFTER)
    open_missing_streams()
    invocation = Invocation()
    try:
        return _run(sys.argv[1:] if arguments is None else arguments, invocation)
    except Interrupted as interruption:
        return show_interruption(str(interruption), invocation.err)
    except ContactsyncError as error:
        return show_error(error, invocation.err)
    except typer.TyperException as error:
        return show_usage_error(error, invocation.err)
    except (typer.Abort, KeyboardInterrupt):
        return show_interruption("Interrupted.", invocation.err)
    finally:
        gc.freeze()  # so that the end of the process does not collect all that was loaded


def _run(arguments: Sequence[str], invocation: Invocation) -> int:
    _check_encoding(arguments)
    try:
        command = without_pydantic(typer.main.get_command(app))
        code = command(arguments, prog_name="contactsync", standalone_mode=False, obj=invocation)
    except OSError as error:
        check_output(error)
        raise
    try:
        flush_output()
    except BrokenPipeError:
        return ExitCode.PIPE_CLOSED
    return int(code or ExitCode.DONE)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Raise UsageError for an argument that is not UTF-8; neither PostgreSQL nor LDAP accepts it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:  # Python's escapes for other octets (PEP 383)
            raise UsageError(
                f'"{argument}" is not text in UTF-8.', hint="Check the encoding of the terminal."
            ) from None


def _show_version(requested: bool) -> None:  # noqa: FBT001 -- typer's signature for a callback
    if requested:
        typer.echo(f"contactsync {__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    context: typer.Context,
    *,
    settings: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Settings file; by default $CONTACTSYNC_SETTINGS, /etc/contactsync/settings.toml or ./settings.toml.",
        ),
    ] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, help="Log more to stderr; -vv logs everything."
        ),
    ] = 0,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Store the global options; without a command, show the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)
    invocation = invocation_of(context)
    invocation.settings_file = None if settings is None else Path(settings)
    invocation.verbosity = verbose


@app.command("sync", short_help="Synchronize a folder, or all folders, now.")
def sync_command(
    context: typer.Context,
    *,
    name: OptionalName = None,
    everything: Annotated[bool, typer.Option("--all", help="All definitions that are not paused.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the runs end, or leave them to the daemon.")] = True,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing unless a run fails or is held.")] = False,
) -> int:
    """Synchronize a folder with its directory now. The daemon does it; if none is running, this process does.

    If a definition is running already, one more run follows, because the directory may have changed meanwhile. A run
    that would delete or clear too much is held: it changes nothing, and the exit code is 3. The name of a folder
    selects all of its definitions.

    \b
    contactsync sync Staff
    contactsync sync --all --no-wait
    contactsync sync anna/Private --json | jq .runs[0].outcome
    """
    from contactsync.cli.commands.sync import sync

    if (name is None) is not everything:
        raise UsageError("Give either a NAME or --all.", hint="`contactsync folders list` shows the names.")
    return sync(invocation_of(context), name, wait=wait, as_json=as_json, quiet=quiet)


@app.command("check", short_help="Find out why a definition does not work, step by step.")
@with_definition_options
def check_command(
    context: typer.Context,
    *,
    name: OptionalName = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Check this query; see `contactsync folders add --help`.")
    ] = None,
    as_json: Json = False,
    options: DefinitionOptions,
) -> int:
    """Check a definition step by step, from its fields to the plan of a run, and print what to do. Changes nothing.

    Options override the stored values, so an edit can be tried before it is saved. The exit code is 1 if a step
    failed; a warning is no failure.

    \b
    contactsync check Staff
    contactsync check Staff --filter '(department=Sales)'
    contactsync check --query ldaps://dc1.example.com --user reader@example.com
    """
    from contactsync.cli.commands.check import check_folder

    return check_folder(invocation_of(context), name, query, options, as_json=as_json)


@app.command("browse", short_help="Browse a directory to find the base.")
@partial(with_definition_options, only=CONNECTION)
def browse_command(
    context: typer.Context,
    *,
    name: OptionalName = None,
    base: Annotated[
        str | None, typer.Argument(metavar="BASE", help="Show the children of this entry.", show_default=False)
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Instead of NAME: a directory that no folder uses yet.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="ENTRIES", min=1, max=10_000, help="Show at most so many children of an entry.")
    ] = 100,
    as_json: Json = False,
    options: DefinitionOptions,
) -> None:
    """Show one level of a directory: each naming context with its children, or the children of BASE.

    \b
    contactsync browse Staff
    contactsync browse Staff 'OU=Users,DC=example,DC=com'
    contactsync browse --query dc1.example.com --user reader@example.com
    """
    from contactsync.cli.commands.browse import browse_directory

    arguments = (name, base)
    browse_directory(invocation_of(context), arguments, query, options, limit=limit, as_json=as_json)


@app.command("status", short_help="Show the daemon, the folders, the last runs and the database.")
def status_command(
    context: typer.Context,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Print one line for monitoring; exit with 0, 1, 2 or 3 as plugins do.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Print nothing; exit with 0 if the daemon answers.")] = False,
    ready: Annotated[bool, typer.Option("--ready", help="Print nothing; exit with 0 if it can also work.")] = False,
    as_json: Json = False,
) -> int:
    """Show whether a daemon is running, the states of the folders, the last runs, and the database in use.

    --check is a plugin for Nagios and Icinga. Its exit codes: 0 ok; 1 a definition is held, locked, invalid or failing;
    2 the daemon or its database does not work; 3 unknown, for example without permission.

    --live and --ready are probes for containers. Definitions that fail do not matter to them.

    \b
    contactsync status
    contactsync status --json | jq .daemon_running
    contactsync status --check
    """
    if live or ready:
        from contactsync.cli.commands.health import probe

        probe(invocation_of(context), "ready" if ready else "live")
        return ExitCode.DONE
    if check:
        from contactsync.cli.commands.health import check_health

        return check_health(invocation_of(context), as_json=as_json)
    from contactsync.cli.commands.status import show_status

    show_status(invocation_of(context), as_json=as_json)
    return ExitCode.DONE


@app.command("daemon", short_help="Keep all folders in sync by their schedules.")
def daemon_command(context: typer.Context) -> int:
    """Keep all folders in sync by their schedules, until SIGTERM or Ctrl-C.

    Service managers start this command. The log goes to stderr.

    \b
    contactsync --settings /etc/contactsync/settings.toml daemon
    """
    import_structlog()
    from contactsync.service.main import run_daemon

    invocation = invocation_of(context)
    invocation.become_service()
    return run_daemon(invocation.settings, invocation.reload_settings)


@app.command("demo", short_help="Watch contactsync work, with a private directory and database.")
def demo_command(context: typer.Context) -> int:
    """Watch people of a real directory arrive in contact folders and stay in sync, on private servers.

    \b
    contactsync demo
    """
    from contactsync.demo.story import run_demo

    return run_demo(console=invocation_of(context).out)
