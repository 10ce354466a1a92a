"""`contactsync folders ...`: the definitions that fill contact folders."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it runs, so that help and completion come at once
# ruff: noqa: D301 -- \b is for typer: the lines after it are left as they are

from __future__ import annotations

from typing import Annotated

import typer

from contactsync.cli.clearing import Clearable
from contactsync.cli.context import invocation_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.options import DefinitionOptions, with_definition_options
from contactsync.model import Definition

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Staff; anna/Private, a personal folder; Staff:branch, a second definition of a folder.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]

FIRST_DEFINITION = "directory"
"""How the definition is called that needs no name of its own (contactsync.model.Definition)."""

folders = typer.Typer(
    help="Look at contact folders and at what fills them, and edit it. The daemon follows within a second.",
    invoke_without_command=True,
)


@folders.callback()
def folders_help(context: typer.Context) -> None:
    """Show the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)


@folders.command("add", short_help="Fill a folder from a directory.")
@with_definition_options
def add_command(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The folder's name.", show_default=False)],
    query: Annotated[str, typer.Option(metavar="QUERY", help="Where the contacts come from.", show_default=False)],
    owner: Annotated[
        str | None, typer.Option(metavar="OWNER", help="Make it a personal folder; without it, it is shared.")
    ] = None,
    definition: Annotated[
        str, typer.Option(metavar="NAME", help="Another name for a second definition that fills the same folder.")
    ] = FIRST_DEFINITION,
    paused: Annotated[bool, typer.Option("--paused", help="Do not run it until `folders resume`.")] = False,
    options: DefinitionOptions,
) -> None:
    """Fill a folder, made if it is new, from a directory.

    The query takes what people type:

    \b
    dc1.example.com                      a server, which says what its base is
    dc1.example.com [2001:db8::7]:636    several, tried in turn
    ldaps://dc1.example.com/OU=Users,DC=example,DC=com??sub?(mail=*)
                                         an LDAP URL (RFC 4516)
    LDAP://dc1/OU=Users,DC=example,DC=com
                                         an ADSI path
    LDAP://OU=Users,DC=example,DC=com    without a server: found by DNS SRV

    The user's password is asked for in the terminal, unless --password-stdin or --password-ref says where it is.

    \b
    contactsync folders add Staff --query ldaps://dc1.example.com \\
        --user 'EXAMPLE\\reader' --schedule 'every 15m'
    contactsync folders add Private --owner anna --query dc1.example.com \\
        --user reader@example.com --password-ref file:/etc/contactsync/reader
    """
    from contactsync.cli.commands.folders_edit import add_folder

    wanted = Definition(
        folder_id=0, definition_id=0, folder=name, owner=owner, name=definition, query=query, enabled=not paused
    )
    add_folder(invocation_of(context), wanted, options)


@folders.command("list", short_help="List all folders and how they do.")
def list_command(context: typer.Context, *, as_json: Json = False) -> None:
    """List all folders: how they do, how much is in them, when they ran and will run.

    States: ok; never run; held (a run would delete too much: see `folders show`); failing; locked (user or password
    were refused: nothing is tried until it is edited or run by hand); invalid (it makes no sense); interrupted; paused.
    What is locked or invalid has the reason below the table.

    \b
    contactsync folders list
    contactsync folders list --json | jq '.[] | select(.state != "ok") | .label'
    """
    from contactsync.cli.commands.folders_list import list_folders

    list_folders(invocation_of(context), as_json=as_json)


@folders.command("show", short_help="Show all there is to know of one.")
def show_command(context: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Show all there is to know of one: what was set, its state, its last runs, the entries that were rejected.

    The password is never shown, only whether one is stored or where it is.

    \b
    contactsync folders show Staff
    contactsync folders show anna/Private --json
    """
    from contactsync.cli.commands.folders_show import show_folder

    show_folder(invocation_of(context), name, as_json=as_json)


@folders.command("edit", short_help="Change what is given, leave the rest.")
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
            help=f"Set this back to its default; may be given several times. One of: {', '.join(Clearable)}.",
        ),
    ] = None,
    options: DefinitionOptions,
) -> None:
    """Change what is given and leave the rest as it is.

    After an edit of query, base, scope or filter the next run is held if it would delete contacts.

    \b
    contactsync folders edit Staff --filter '(department=Sales)'
    contactsync folders edit Staff --schedule '0 6 * * *' --time-zone Europe/Rome
    contactsync folders edit Staff --password-prompt
    contactsync folders edit Staff --clear filter --clear base
    """
    from contactsync.cli.commands.folders_edit import edit_folder

    edit_folder(invocation_of(context), name, query, clear or [], options)


@folders.command("remove", short_help="Remove a definition and its contacts.")
def remove_command(
    context: typer.Context,
    *,
    name: Name,
    keep_contacts: Annotated[
        bool, typer.Option("--keep-contacts", help="Leave the contacts in the folder, as people's own.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a definition with the contacts that it brought, and the folder if nothing else is in it.

    Contacts that people made themselves stay.

    \b
    contactsync folders remove Staff:branch
    contactsync folders remove Staff --keep-contacts --yes
    """
    from contactsync.cli.commands.folders_edit import remove_folder

    remove_folder(invocation_of(context), name, keep_contacts=keep_contacts, yes=yes)


@folders.command("pause", short_help="Run it no more until it is resumed.")
def pause_command(context: typer.Context, *, name: Name) -> None:
    """Run it no more until it is resumed. A folder's name means all of its definitions.

    \b
    contactsync folders pause Staff
    """
    from contactsync.cli.commands.folders_edit import set_enabled

    set_enabled(invocation_of(context), name, enabled=False)


@folders.command("resume", short_help="Run it again by its schedule.")
def resume_command(context: typer.Context, *, name: Name) -> None:
    """Run it again by its schedule, and once at once. A folder's name means all of its definitions.

    \b
    contactsync folders resume Staff
    """
    from contactsync.cli.commands.folders_edit import set_enabled

    set_enabled(invocation_of(context), name, enabled=True)
