"""`contactsync browse`: one level of a directory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from contactsync.cli.changes import send_draft
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, show_json, show_text
from contactsync.errors import UsageError
from contactsync.text import printable

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import DefinitionOptions

_COLUMNS = ("Entry", "Class", "Below", "As a contact")
_REPEATED = {
    "user": "--user",
    "auth": "--auth",
    "tls": "--tls",
    "tls_minimum": "--tls-minimum",
    "tls_ca_file": "--ca-file",
    "tls_ca_pem": "--ca-pem",
    "tls_client_cert": "--client-cert",
    "tls_client_key": "--client-key",
    "password_ref": "--password-ref",
}
"""The options by their fields without which the next command would not reach the directory."""


def browse_directory(
    invocation: Invocation,
    arguments: tuple[str | None, str | None],
    query: str | None,
    options: DefinitionOptions,
    *,
    limit: int,
    as_json: bool,
) -> None:
    """Print the children of a base, or of each naming context. Raises ContactsyncError."""
    name, base = arguments
    if query is not None:  # without a NAME, the first argument is the BASE
        if base is not None:
            raise UsageError("Give a NAME or --query, and at most one BASE.", hint="See `contactsync browse --help`.")
        name, base = None, name
    with invocation.api() as api, invocation.err.status("searching the directory ..."):
        view = send_draft(api, "/v1/browse", name, query, options, at=base, limit=limit)
    if as_json:
        show_json(invocation.out, view)
        return
    for level in view["levels"]:
        _show_level(invocation, level)
    if view["others"]:
        show_text(invocation.out, f"Other naming contexts, without people: {', '.join(view['others'])}")
        invocation.out.print()
    _show_next(invocation, view, name, query, options)


def _show_level(invocation: Invocation, level: Mapping[str, Any]) -> None:
    show_text(invocation.out, level["base"], style="bold")
    if level["nodes"]:
        show_table(invocation.out, _COLUMNS, [_cells(node) for node in level["nodes"]], numbers=("Below",))
    else:
        show_text(invocation.out, "It has no children that this user may read.")
    if level["more"]:
        show_text(
            invocation.out,
            f"There are more than these {len(level['nodes']):,}; --limit shows more.",
            style="yellow",
        )
    invocation.out.print()


def _cells(node: Mapping[str, Any]) -> tuple[str, ...]:
    below = NOTHING if node["below"] is None else f"{node['below']:,}{'+' if node['at_least'] else ''}"
    return (node["rdn"], node["object_class"], below, node["contact"] or NOTHING)


def _show_next(
    invocation: Invocation, view: Mapping[str, Any], name: str | None, query: str | None, options: DefinitionOptions
) -> None:
    """Print the commands that show the next level and that search it for contacts."""
    base = shlex.quote(_likely_base(view["levels"][0]))
    source = shlex.quote(name) if name is not None else f"--query {shlex.quote(query or '')}"
    change = f"edit {source}" if name is not None else f"add NAME {source}"
    connection = _connection(options) if name is None else ""  # a definition has its own
    show_text(invocation.out, "To show the next level, or to have runs search there:")
    for command in (f"browse {source} {base}", f"folders {change} --base {base}"):
        # A command that is not wrapped can be copied.
        invocation.out.print(Text(printable(f"  contactsync {command}{connection}")), soft_wrap=True)


def _connection(options: DefinitionOptions) -> str:
    """The given options of the connection as they are typed; never a password."""
    values = {option: getattr(options, field) for field, option in _REPEATED.items()}
    typed = [f" {option} {shlex.quote(value)}" for option, value in values.items() if value is not None]
    return "".join(typed) + (" --no-tls-verify" if options.tls_verify is False else "")


def _likely_base(level: Mapping[str, Any]) -> str:
    """The organizational unit with the most children, else the entry with the most, else the base itself."""
    parents = [node for node in level["nodes"] if node["below"]]
    if not parents:
        return str(level["base"])
    likely = max(parents, key=lambda node: (node["object_class"].lower() == "organizationalunit", node["below"] or 0))
    return str(likely["dn"])
