"""The commands of the web console: `contactsync web` and `contactsync web sign-in`."""

from __future__ import annotations

import os

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.options import Json

_HELP = """Serve the web console until SIGTERM or Ctrl-C.

It asks the daemon for everything, over a socket ([web] in settings.toml). Service managers start this command, as a
user of its own. The log goes to stderr.

\b
contactsync --settings /etc/contactsync/web.toml web
contactsync web sign-in
"""

web_app = typer.Typer(help=_HELP, invoke_without_command=True)


@web_app.callback()
def serve_command(context: typer.Context) -> int:
    """Without a command, serve the console."""
    if context.invoked_subcommand is not None:
        return ExitCode.DONE
    from contactsync.cli.commands.web import serve

    return serve(invocation_of(context), os.environ)


@web_app.command("sign-in", short_help="Print a link that signs an administrator in, once.")
def sign_in_command(context: typer.Context, *, as_json: Json = False) -> None:
    """Print a link that signs one browser in as an administrator, once, within five minutes.

    The daemon makes it for those who may use its control socket: root and the members of its group.

    \b
    contactsync web sign-in
    contactsync web sign-in --json | jq -r .url
    """
    from contactsync.cli.commands.web import print_sign_in_link

    print_sign_in_link(invocation_of(context), as_json=as_json)
