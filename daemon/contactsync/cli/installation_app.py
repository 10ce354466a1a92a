"""The commands about the installation: `contactsync settings ...`, `files ...`, and those about the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.options import Json, Yes

_HELP = """Print settings.toml of this release: every setting with its meaning, its unit and its default.

\b
contactsync settings > settings.toml
contactsync settings check settings.toml
contactsync settings show
"""

_FILES_HELP = """List the files that come with contactsync: units, SQL, alert rules, completion, man pages, settings.

\b
contactsync files
contactsync files copy monitoring --to monitoring
"""

database_app = typer.Typer()
files_app = typer.Typer(help=_FILES_HELP, invoke_without_command=True)
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


@files_app.callback()
def files_command(context: typer.Context, *, as_json: Json = False) -> None:
    """Without a command, list the files."""
    if context.invoked_subcommand is None:
        from contactsync.cli.commands.files import list_files

        list_files(invocation_of(context), as_json=as_json)


@files_app.command("copy", short_help="Copy files to a directory.")
def copy_command(
    context: typer.Context,
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="A file or a folder of the list; all by default.", show_default=False),
    ] = None,
    directory: Annotated[Path, typer.Option("--to", metavar="DIRECTORY", help="It is created if it does not exist.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist with other content.")] = False,
    as_json: Json = False,
) -> None:
    """Copy files to a directory: those of a folder without the folder, and without NAME all, in their folders.

    If a file exists with other content, nothing is copied. The units name the program of this installation.

    \b
    contactsync files copy --to contactsync-files
    contactsync files copy postgresql/roles.sql --to .
    contactsync files copy systemd/contactsync.service systemd/contactsync.socket --to /etc/systemd/system
    """
    from contactsync.cli.commands.files import copy_out

    copy_out(invocation_of(context), names or [], directory, force=force, as_json=as_json)


@database_app.command("migrate", short_help="Migrate the database to the newest schema.")
def migrate_command(context: typer.Context, *, as_json: Json = False) -> None:
    """Migrate the database to the newest schema and list the migrations. Other commands migrate it as well.

    \b
    contactsync migrate
    """
    from contactsync.cli.commands.database.migrate import apply_migrations

    apply_migrations(invocation_of(context), as_json=as_json)


@database_app.command("setup", short_help="Set up a PostgreSQL of your own: schema, roles and a reader.")
def setup_command(
    context: typer.Context,
    *,
    database: Annotated[str | None, typer.Option(metavar="URL", help="Default: database.url of settings.toml.")] = None,
    reader: Annotated[str | None, typer.Option(metavar="ROLE", help="Create this login role to read contacts.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Set up a PostgreSQL of your own: create the schema, the groups for programs and people, and a reader.

    It shows what it will do and asks. It can be repeated, also after an upgrade. Keep the password out of the URL: use
    ~/.pgpass, PGPASSWORD or settings.toml.

    \b
    contactsync setup --database postgresql://contactsync@db.example.com/contactsync --dry-run
    contactsync setup --database postgresql://contactsync@db.example.com/contactsync --reader phonebook
    """
    from contactsync.cli.commands.database.migrate import set_up

    set_up(invocation_of(context), database, reader=reader, yes=yes, dry_run=dry_run, as_json=as_json)


@database_app.command("dump", short_help="Write a dump of the database to a file.")
def dump_command(
    context: typer.Context,
    *,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A new file, or - for standard output; by default contactsync-DATE.dump here.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Read as this role, such as contactsync_backup.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a dump of folders, contacts, definitions and history, as they are now. Everything goes on meanwhile.

    It works for the embedded PostgreSQL and for one of your own, whose version's pg_dump is found. Passwords are in it
    as they are stored: sealed with the key, which is a file of its own. Keep the two in different places.

    \b
    contactsync dump
    contactsync dump /root/contactsync.dump
    contactsync dump - | ssh backup 'cat > contactsync.dump'
    """
    from contactsync.cli.commands.database.backup import write_dump

    write_dump(invocation_of(context), file, role=role, as_json=as_json)


@database_app.command("restore", short_help="Restore a dump.")
def restore_command(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A dump by `contactsync dump`.", show_default=False)],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also if the database has folders: they are kept in another schema.")
    ] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Restore a dump in one transaction, of this release or an older one, which is then updated.

    It shows what it will do, and whether the key of this machine opens the passwords in the dump, and asks. A database
    that has folders is refused; with --replace they stay in a schema contactsync_before_TIME.

    \b
    contactsync restore /root/contactsync.dump --dry-run
    contactsync restore /root/contactsync.dump --replace
    """
    from contactsync.cli.commands.database.backup import restore_dump

    restore_dump(invocation_of(context), file, replace=replace, yes=yes, dry_run=dry_run, as_json=as_json)
