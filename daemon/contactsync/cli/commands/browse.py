"""`contactsync browse`: what is in a directory, one level at a time."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from contactsync.bootstrap import run_options
from contactsync.checks.browser import Level, Node, View, browse
from contactsync.cli.changes import draft_of
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, show_json, show_text
from contactsync.errors import UsageError
from contactsync.text import printable

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import DefinitionOptions

_COLUMNS = ("Entry", "Class", "Below", "As a contact")


def browse_directory(
    invocation: Invocation,
    words: tuple[str | None, str | None],
    query: str | None,
    options: DefinitionOptions,
    *,
    limit: int,
    as_json: bool,
) -> None:
    """Show the children of a base, or of every naming context. Raises ContactsyncError."""
    name, base = _name_and_base(words, query)
    with draft_of(invocation, name, query, options) as (draft, _), invocation.err.status("asking the directory ..."):
        view = browse(draft.definition, draft.password, run_options(invocation.settings), base=base, limit=limit)
    if as_json:
        show_json(invocation.out, asdict(view))
        return
    for level in view.levels:
        _show_level(invocation, level)
    if view.others:
        show_text(invocation.out, f"Other naming contexts, without people: {', '.join(view.others)}")
        invocation.out.print()
    _show_next(invocation, view, name, query)


def _name_and_base(words: tuple[str | None, str | None], query: str | None) -> tuple[str | None, str | None]:
    """With --query there is no NAME, so the only word is the BASE."""
    name, base = words
    if query is None:
        return name, base
    if base is not None:
        raise UsageError("Give a NAME or --query, and one BASE at most.", hint="See `contactsync browse --help`.")
    return None, name


def _show_level(invocation: Invocation, level: Level) -> None:
    show_text(invocation.out, level.base, style="bold")
    if level.nodes:
        show_table(invocation.out, _COLUMNS, [_cells(node) for node in level.nodes], numbers=("Below",))
    else:
        show_text(invocation.out, "Nothing is below it that this user may see.")
    if level.more:
        show_text(invocation.out, f"There are more than these {len(level.nodes):,}; see --limit.", style="yellow")
    invocation.out.print()


def _cells(node: Node) -> tuple[str, ...]:
    below = NOTHING if node.below is None else f"{node.below:,}{'+' if node.at_least else ''}"
    return (node.rdn, node.object_class, below, node.contact or NOTHING)


def _show_next(invocation: Invocation, view: View, name: str | None, query: str | None) -> None:
    """How to go deeper, and how to take what was found."""
    deeper = _most_promising(view.levels[0])
    what = shlex.quote(name) if name is not None else f"--query {shlex.quote(query or '')}"
    chosen = shlex.quote(deeper)
    change = f"edit {what}" if name is not None else f"add NAME {what}"
    show_text(invocation.out, "To look further, or to have a run search there:")
    for command in (f"browse {what} {chosen}", f"folders {change} --base {chosen}"):
        # Not folded, so that it can be copied.
        invocation.out.print(Text(printable(f"  contactsync {command}")), soft_wrap=True)


def _most_promising(level: Level) -> str:
    """Where people may be: the organisational unit with most below it, else any other such entry, else the base."""
    full = [node for node in level.nodes if node.below]
    if not full:
        return level.base
    return max(full, key=lambda node: (node.object_class.lower() == "organizationalunit", node.below or 0)).dn
