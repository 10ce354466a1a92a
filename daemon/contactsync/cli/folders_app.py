"""`contactsync folders ...`: the definitions that fill contact folders."""

from __future__ import annotations

from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.options import Clearable, DefinitionOptions, Json, Name, Yes, with_definition_options
from contactsync.cli.rights.app import rights
from contactsync.model import FIRST_DEFINITION

folders = typer.Typer(
    help="List, show and edit contact folders and their definitions. The daemon applies an edit within a second.",
    invoke_without_command=True,
)
folders.add_typer(rights, name="rights", short_help="Who may see and who may edit a folder at the web console.")


@folders.callback()
def folders_help(context: typer.Context) -> None:
    """Without a command, show the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)


@folders.command("add", short_help="Fill a folder from a directory.")
@with_definition_options
def add_command(  # noqa: PLR0913 -- one for each option
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The folder's name.", show_default=False)],
    query: Annotated[
        str, typer.Option(metavar="QUERY", help="The directory, and where to search in it.", show_default=False)
    ],
    owner: Annotated[
        str | None, typer.Option(metavar="OWNER", help="Owner of a personal folder; without it, the folder is shared.")
    ] = None,
    definition: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the definition, for a second one in the same folder.")
    ] = FIRST_DEFINITION,
    paused: Annotated[bool, typer.Option("--paused", help="Do not run it until `contactsync folders resume`.")] = False,
    as_json: Json = False,
    options: DefinitionOptions,
) -> None:
    """Add a definition that fills a folder from a directory. A folder that does not exist is created.

    Forms of QUERY:

    \b
    dc1.example.com                      a server; its root DSE names the base
    dc1.example.com [2001:db8::7]:636    several servers, tried in order
    ldaps://dc1.example.com/OU=Users,DC=example,DC=com??sub?(mail=*)
                                         an LDAP URL (RFC 4516)
    LDAP://dc1/OU=Users,DC=example,DC=com
                                         an ADSI path
    LDAP://OU=Users,DC=example,DC=com    without a server: found by DNS SRV

    The terminal asks for the user's password, unless --password-stdin or --password-ref is given.

    \b
    contactsync folders add Staff --query ldaps://dc1.example.com \\
        --user 'EXAMPLE\\reader' --schedule 'every 15m'
    contactsync folders add Private --owner anna --query dc1.example.com \\
        --user reader@example.com --password-ref file:/etc/contactsync/reader
    """
    from contactsync.cli.commands.folders.edit import add_folder

    names = {"folder": name, "owner": owner, "definition": definition, "enabled": not paused}
    add_folder(invocation_of(context), names, query, options, as_json=as_json)


@folders.command("list", short_help="List all folders with their states.")
def list_command(context: typer.Context, *, as_json: Json = False) -> None:
    """List all folders: state, number of contacts, last run and next run.

    States: ok; never run; held (a run would delete or clear too much and needs a decision); failing; invalid;
    interrupted; paused; locked. If it is locked, the directory refused the user or the password, and only an edit or a
    run by hand tries again. The reason is printed below the table.

    \b
    contactsync folders list
    contactsync folders list --json | jq '.[] | select(.state != "ok") | .label'
    """
    from contactsync.cli.commands.folders.list import list_folders

    list_folders(invocation_of(context), as_json=as_json)


@folders.command("show", short_help="Show one definition.")
def show_command(context: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Show one definition: its fields, its state, its last runs, and the entries that were rejected.

    The password is never shown; only whether one is stored, or its reference.

    \b
    contactsync folders show Staff
    contactsync folders show anna/Private --json
    """
    from contactsync.cli.commands.folders.show import show_folder

    show_folder(invocation_of(context), name, as_json=as_json)


@folders.command("edit", short_help="Change some fields of a definition.")
@with_definition_options
def edit_command(
    context: typer.Context,
    *,
    name: Name,
    query: Annotated[str | None, typer.Option(metavar="QUERY", help="See `contactsync folders add --help`.")] = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(
            metavar="FIELD",
            help=f"Set this field to its default; may be repeated. One of: {', '.join(Clearable)}.",
        ),
    ] = None,
    as_json: Json = False,
    options: DefinitionOptions,
) -> None:
    """Change the fields of a definition that are given; the others keep their values.

    After an edit of query, base, scope or filter, the next run is held if it would delete contacts.

    \b
    contactsync folders edit Staff --filter '(department=Sales)'
    contactsync folders edit Staff --schedule '0 6 * * *' --time-zone Europe/Rome
    contactsync folders edit Staff --password-prompt
    contactsync folders edit Staff --clear filter --clear base
    """
    from contactsync.cli.commands.folders.edit import edit_folder

    edit_folder(invocation_of(context), name, query, clear or [], options, as_json=as_json)


@folders.command("remove", short_help="Remove a definition and its contacts.")
def remove_command(
    context: typer.Context,
    *,
    name: Name,
    keep_contacts: Annotated[
        bool, typer.Option("--keep-contacts", help="Keep its contacts in the folder, as the users' own.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a definition and the contacts that it added, and the folder if it is then empty.

    Contacts that users created are kept.

    \b
    contactsync folders remove Staff:branch
    contactsync folders remove Staff --keep-contacts --yes
    """
    from contactsync.cli.commands.folders.edit import remove_folder

    remove_folder(invocation_of(context), name, keep_contacts=keep_contacts, yes=yes, as_json=as_json)


@folders.command("pause", short_help="Stop running a definition until it is resumed.")
def pause_command(context: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Stop running a definition until it is resumed. The name of a folder selects all of its definitions.

    \b
    contactsync folders pause Staff
    """
    from contactsync.cli.commands.folders.edit import set_enabled

    set_enabled(invocation_of(context), name, enabled=False, as_json=as_json)


@folders.command("resume", short_help="Run a paused definition again.")
def resume_command(context: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Run a paused definition again, now and by its schedule. The name of a folder selects all of its definitions.

    \b
    contactsync folders resume Staff
    """
    from contactsync.cli.commands.folders.edit import set_enabled

    set_enabled(invocation_of(context), name, enabled=True, as_json=as_json)


@folders.command("export", short_help="Print definitions as a file for `apply`.")
def export_command(
    context: typer.Context,
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Folders or definitions; by default all.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print definitions as a TOML file, for `contactsync folders apply` here or on another machine.

    Fields with their default are left out. A stored password is not in the file, only a comment; references to
    passwords are.

    \b
    contactsync folders export > folders.toml
    contactsync folders export Staff anna/Private
    """
    from contactsync.cli.commands.folders.declare import export_folders

    export_folders(invocation_of(context), names or [], as_json=as_json)


@folders.command("apply", short_help="Make the definitions those of a file.")
def apply_command(
    context: typer.Context,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A TOML file, or - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Yes = False,
    remove_others: Annotated[
        bool, typer.Option("--remove-others", help="Remove definitions that are not in the file, with their contacts.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Add and change definitions until they are those of a file: all, or none if there is a mistake.

    It shows each difference and asks. A field that is not in the file gets its default. A stored password stays; if
    server, user or TLS settings change, the terminal asks for it. Exit codes of --dry-run: 0 no changes; 2 changes.

    \b
    contactsync folders apply folders.toml --dry-run
    contactsync folders apply folders.toml --remove-others
    contactsync folders export | ssh other contactsync folders apply - --yes
    """
    from contactsync.cli.commands.folders.declare import apply_file

    return apply_file(
        invocation_of(context), file, dry_run=dry_run, yes=yes, remove_others=remove_others, as_json=as_json
    )


@folders.command("rename", short_help="Rename a folder or a definition.")
def rename_command(
    context: typer.Context,
    *,
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new name.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Rename a folder, or one definition of it if NEW has a colon. Contacts, password and history stay.

    Without an owner, NEW keeps the owner of the folder: Private of anna stays a personal folder. ben/Private gives it
    another owner, and /Private makes it a shared folder.

    \b
    contactsync folders rename Staff Team
    contactsync folders rename anna/Private ben/Private
    contactsync folders rename Staff:branch Staff:office
    """
    from contactsync.cli.commands.folders.declare import rename_folder

    rename_folder(invocation_of(context), name, new_name, as_json=as_json)


@folders.command("schema", short_help="Print the JSON Schema of a file for `apply`, or of a mapping.")
def schema_command(
    context: typer.Context,
    *,
    mapping: Annotated[bool, typer.Option("--mapping", help="That of a mapping, for --mapping of `add`.")] = False,
) -> None:
    """Print the JSON Schema of a file for `contactsync folders apply`, for editors that complete and check fields.

    \b
    contactsync folders schema > definitions.schema.json
    contactsync folders schema --mapping > mapping.schema.json
    """
    from contactsync.cli.output.text import show_json
    from contactsync.mapping.json_schema import mapping_schema
    from contactsync.operations.declared.file import file_schema

    show_json(invocation_of(context).out, mapping_schema() if mapping else file_schema())
