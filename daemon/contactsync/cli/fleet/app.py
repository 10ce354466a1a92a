"""`contactsync fleet ...`: the daemons that share one set of definitions."""

from __future__ import annotations

from typing import Annotated

import typer

from contactsync.cli.context import invocation_of
from contactsync.cli.options import Json

_HELP = """Show the daemons that share the definitions of this database, and what waits where.

\b
contactsync fleet
contactsync fleet drain node-a
contactsync fleet resume node-a
contactsync fleet forget node-a
"""

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="The name of a node.")]

fleet_app = typer.Typer(help=_HELP, invoke_without_command=True)


@fleet_app.callback()
def show_command(context: typer.Context, *, as_json: Json = False) -> None:
    """Without a command, show the fleet."""
    if context.invoked_subcommand is None:
        from contactsync.cli.fleet.commands import show_fleet

        show_fleet(invocation_of(context), as_json=as_json)


@fleet_app.command("drain", short_help="Have a node start no more runs.")
def drain_command(context: typer.Context, *, node: NodeName, as_json: Json = False) -> None:
    """Have a node start no more runs; running ones end, and other nodes take over its schedule and listening.

    The daemon goes on, so that it can be stopped without harm. A stop (SIGTERM) drains too.

    \b
    contactsync fleet drain node-a
    """
    from contactsync.cli.fleet.commands import drain_node

    drain_node(invocation_of(context), node, "drain", as_json=as_json)


@fleet_app.command("resume", short_help="Have a drained node start runs again.")
def resume_command(context: typer.Context, *, node: NodeName, as_json: Json = False) -> None:
    """Have a drained node start runs again.

    \b
    contactsync fleet resume node-a
    """
    from contactsync.cli.fleet.commands import drain_node

    drain_node(invocation_of(context), node, "resume", as_json=as_json)


@fleet_app.command("forget", short_help="Remove a node that will not come back.")
def forget_command(context: typer.Context, *, node: NodeName, as_json: Json = False) -> None:
    """Remove a node that will not come back from the list and from the metrics. Others make its runs.

    A node that gives signs of life is refused: stop its daemon first.

    \b
    contactsync fleet forget node-a
    """
    from contactsync.cli.fleet.commands import forget_node

    forget_node(invocation_of(context), node, as_json=as_json)
