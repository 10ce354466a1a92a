"""`contactsync demo`: a directory, a daemon and two folders, and what becomes of a change, told step by step.

Everything that is claimed is first checked in the database; what is not as it has to be ends the demo with a Surprise.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ldap3.core.exceptions import LDAPException

from contactsync.demo.changes import Changing
from contactsync.demo.environment import Environment
from contactsync.demo.errors import DemoError
from contactsync.demo.interrupt import Stopped, Stopper
from contactsync.demo.introduction import Opening
from contactsync.demo.live_changes import GoingOn
from contactsync.demo.printer import Printer
from contactsync.demo.workspace import Workspace, open_workspace
from contactsync.errors import ContactsyncError
from contactsync.store.errors import translated

if TYPE_CHECKING:
    from rich.console import Console

_SIGNAL_EXIT = 128


def run_demo(*, console: Console) -> int:
    """Tell the whole story; in a terminal go on with random changes until Ctrl-C. Gives the exit code.

    Raises ContactsyncError when something is missing; Surprise, which is one, when something is not as it has to be.
    """
    printer, stopper = Printer(console), Stopper()
    with stopper.listening(), open_workspace(Path.cwd()) as place:
        told = _perform(place, printer, stopper)
        printer.say(_farewell(place))
    return 0 if told or stopper.signal is None else _SIGNAL_EXIT + stopper.signal


def _perform(place: Workspace, printer: Printer, stopper: Stopper) -> bool:
    """Whether the story came to its end before somebody stopped it; what was started has ended either way."""
    try:
        with translated(), ExitStack() as stack:
            told = _tell(Environment(stack, place, stopper), printer)
            printer.say("Stopping the daemon, PostgreSQL and slapd ...")
    except DemoError as error:
        error.hint = "" if place.temporary else f"The daemon's log is {place.log}."
        raise
    except LDAPException as error:
        raise ContactsyncError(f"The demo's directory server did not do what it was asked: {error}.") from error
    return told


def _tell(stage: Environment, printer: Printer) -> bool:
    told = False
    with suppress(Stopped):
        _introduce(stage.place, printer)
        folders = Opening(stage, printer).tell()
        Changing(stage, printer, folders).tell()
        told = True
        if printer.in_terminal:
            GoingOn(stage, printer).tell()
    return told


def _introduce(place: Workspace, printer: Printer) -> None:
    printer.say(
        "contactsync keeps contact folders in PostgreSQL in step with LDAP directories. This is how it does that, with"
        f" a real directory server and a real PostgreSQL that were started for this demo, in {place.root}."
    )
    if place.temporary:
        printer.say("That is a temporary directory, because nothing can be written where you are.")
    elif place.reused:
        printer.say("What an earlier demo had left there is removed.")


def _farewell(place: Workspace) -> str:
    in_use = "PostgreSQL runs on for as long as another program uses it." if place.database_runs else ""
    servers = "The daemon and slapd have ended." if in_use else "The daemon, PostgreSQL and slapd have ended."
    left = "is removed" if place.temporary else f"stays in {place.root.name} until the next demo"
    return f"{servers} {in_use} What the demo wrote {left}.".replace("  ", " ")
