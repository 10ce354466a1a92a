"""`contactsync fleet`, and `contactsync fleet drain|resume|forget NODE`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import ago, show_json, show_text
from contactsync.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contactsync.cli.context import Invocation

_COLUMNS = ("Node", "Version", "State", "Role", "Since", "Last sign", "Running", "Listening")
_NUMBERS = ("Running", "Listening", "Waiting")
_STYLES = {"draining": "yellow", "missing": "red", "died": "red"}


def show_fleet(invocation: Invocation, *, as_json: bool) -> None:
    """Print the nodes, and the directory servers with waiting definitions. Raises DatabaseError."""
    with invocation.api() as api:
        fleet = api.get("/v1/fleet")
    if as_json:
        show_json(invocation.out, fleet)
        return
    if not fleet["nodes"]:
        show_text(invocation.out, "There is no fleet: no daemon with [fleet] enabled = true has joined yet.")
        return
    show_table(invocation.out, _COLUMNS, [_cells(node) for node in fleet["nodes"]], numbers=_NUMBERS, styles=_STYLES)
    if fleet["servers"]:
        invocation.out.print()
        rows = [[row["server"], f"{row['waiting']:,}", f"{row['running']:,}"] for row in fleet["servers"]]
        show_table(invocation.out, ("Server", "Waiting", "Running"), rows, numbers=_NUMBERS)
    if fleet["left_to_others"]:
        invocation.out.print()
        rows = [[row["label"], row["node"], row["reason"]] for row in fleet["left_to_others"]]
        show_table(invocation.out, ("Folder", "Not on", "Reason"), rows)
    show_text(invocation.out, f"{counted(fleet['waiting'], 'definition')} waiting.")


def drain_node(invocation: Invocation, node: str, deed: str, *, as_json: bool) -> None:
    """Drain or resume a node. Raises NotFound, DatabaseError."""
    with invocation.api() as api:
        answer = api.post(f"/v1/fleet/{deed}", node=node)
    if as_json:
        show_json(invocation.out, answer)
    elif answer["draining"]:
        show_text(invocation.out, f"{node} starts no more runs. Running ones end; `contactsync fleet` shows them.")
    else:
        show_text(invocation.out, f"{node} starts runs again.")


def forget_node(invocation: Invocation, node: str, *, as_json: bool) -> None:
    """Remove a node that will not come back. Raises NotFound, NodeAlive, DatabaseError."""
    with invocation.api() as api:
        answer = api.post("/v1/fleet/forget", node=node)
    if as_json:
        show_json(invocation.out, answer)
    else:
        others = f" Others make {counted(answer['runs'], 'run')} of it." if answer["runs"] else ""
        show_text(invocation.out, f"{node} is forgotten.{others}")


def _cells(node: Mapping[str, Any]) -> list[str]:
    return [
        node["name"],
        node["version"],
        node["state"],
        "schedule" if node["leads"] else "",
        ago(node["joined_at"]),
        ago(node["heartbeat_at"]),
        f"{node['running']:,}",
        f"{node['listening']:,}",
    ]
