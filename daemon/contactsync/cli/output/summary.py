"""The result of a run as a paragraph."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.differences import KEY_NAMES
from contactsync.cli.output.text import show_text
from contactsync.model import Mode, Outcome
from contactsync.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.sync.document import RunDocument, RunResult

_STYLES = {Outcome.HELD: "yellow", Outcome.FAILED: "red", Outcome.CANCELLED: "yellow"}
_NAMES_SHOWN = 5


def show_result(console: Console, run: RunResult) -> None:
    """Print the outcome, what was read and changed, how long it took, and what to do if the run was held."""
    style = "" if run.outcome is None else _STYLES.get(run.outcome, "")
    show_text(console, f"{run.label}: {_what(run)}", style=style)
    if run.outcome is Outcome.HELD:
        if names := run.deleted_names[:_NAMES_SHOWN]:
            more = run.deleted - len(names)
            show_text(console, f"It would delete {', '.join(names)}{f' and {more:,} more' if more > 0 else ''}.")
        show_text(
            console,
            f"Nothing was changed. To see the whole plan: contactsync runs show {run.run_id}. To allow it: "
            f"contactsync approve {run.run_id}. To edit the query or a limit: contactsync folders edit "
            f"{shlex.quote(run.label)}",
        )
    show_recognised(console, run)
    if run.rejected:
        rejected = counted(run.rejected, "entry", "entries")
        show_rejected(console, f"{rejected} rejected:", [entry.model_dump() for entry in run.rejected_sample])
    if run.trimmed:
        show_trimmed(console, run.trimmed, [value.model_dump() for value in run.trimmed_sample])


def show_trimmed(console: Console, number: int, values: Sequence[Mapping[str, Any]]) -> None:
    """Print the values that were dropped or changed: DN, field and reason of the first, and how many more."""
    show_text(console, f"{counted(number, 'value')} dropped or changed:", style="yellow")
    for value in values:
        show_text(console, f"  {value['dn']}: {value['field']}: {value['reason']}")
    if not values or number > len(values):
        show_text(console, f"  {'and more' if values else 'not named'}")


def show_recognised(console: Console, run: RunResult) -> None:
    """Print how many contacts keep their ids although their entries have other identities than before."""
    if run.rekeyed:
        by = ", ".join(f"{number:,} by {KEY_NAMES[key]}" for key, number in run.recognised.items())
        contacts = counted(run.rekeyed, "contact", "contacts")
        show_text(console, f"{contacts} recognised under a new identity, with the same ids as before: {by}.")


def show_rejected(console: Console, heading: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """Print the DN and the reason of each rejected entry."""
    show_text(console, heading, style="yellow")
    for entry in entries:
        show_text(console, f"  {entry['dn']}: {entry['reason']}")


def _what(run: RunDocument) -> str:
    if run.outcome is Outcome.HELD:
        return f"held. {run.held_reason}"
    if run.outcome in {Outcome.UNCHANGED, Outcome.CHANGED}:
        return f"{_counts(run)} from {run.server} in {run.seconds:.1f} seconds."
    attempts = f" after {run.attempts} attempts" if run.attempts > 1 else ""
    return f"{run.outcome}{attempts}. {run.error or ''}".rstrip()


def _counts(run: RunDocument) -> str:
    entries = counted(run.entries, "entry", "entries")
    if run.mode is Mode.COUNTERS:
        return "nothing changed, according to the change counters"
    if run.outcome is Outcome.UNCHANGED:
        if run.mode is Mode.INCREMENTAL and not run.entries:
            return "nothing changed since the last run; no entries read"
        return f"nothing changed in {entries}"
    changes = {"added": run.inserted, "changed": run.updated, "deleted": run.deleted}
    return f"{', '.join(f'{number:,} {verb}' for verb, number in changes.items() if number)}; {entries} read"
