"""`contactsync demo`: a directory, a daemon and two folders, and what becomes of changes, step by step.

Everything that the demo says is first checked in the database; a difference ends it with a DemoError.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from ldap3.core.exceptions import LDAPException
from rich.console import Console

from contactsync.demo.changes import Changes
from contactsync.demo.environment import Environment
from contactsync.demo.interrupt import Stopped, Stopper
from contactsync.demo.introduction import introduce
from contactsync.demo.live_changes import LiveChanges
from contactsync.demo.printer import Printer
from contactsync.demo.programs import Programs
from contactsync.demo.workspace import Workspace, open_workspace
from contactsync.errors import ContactsyncError, DemoError
from contactsync.store.errors import translated

_SIGNAL_EXIT = 128


def run_demo(*, console: Console) -> int:
    """Tell the whole story; in a terminal go on with random changes until Ctrl-C. Gives the exit code.

    Raises ContactsyncError if something is missing, and its subclass DemoError if something is not as expected.
    """
    printer, stopper = Printer(console), Stopper()
    with stopper.listening(), open_workspace(Path.cwd()) as place:
        is_told = _run(place, printer, stopper)
        printer.say(_farewell(place))
        if is_told and not place.temporary:
            _say_how_to_look_again(place, printer)
    return 0 if is_told or stopper.signal is None else _SIGNAL_EXIT + stopper.signal


def _run(place: Workspace, printer: Printer, stopper: Stopper) -> bool:
    """Whether the story has reached its end; everything that was started has ended in either case."""
    try:
        with translated(), ExitStack() as stack:
            is_told = _tell(Environment(stack, place, stopper), printer)
            printer.say("Stopping the console, the daemon, PostgreSQL and slapd ...")
    except DemoError as error:
        error.hint = "" if place.temporary else f"The daemon's log is {place.log}."
        raise
    except LDAPException as error:
        raise ContactsyncError(f"The demo's directory server refused an operation: {error}.") from error
    return is_told


def _tell(environment: Environment, printer: Printer) -> bool:
    is_told = False
    with suppress(Stopped):
        _greet(environment.place, printer)
        folders = introduce(environment, printer)
        Changes(environment, printer, folders).show()
        is_told = True
        if printer.in_terminal:
            LiveChanges(environment, printer).show()
    return is_told


def _greet(place: Workspace, printer: Printer) -> None:
    printer.say(
        "contactsync keeps contact folders in PostgreSQL in sync with LDAP directories. This demo shows it with a real"
        f" directory server and a real PostgreSQL, both started for the demo in {place.root}."
    )
    if place.temporary:
        printer.say("That is a temporary directory, because the current directory is not writable.")
    elif place.reused:
        printer.say("What an earlier demo had left there is removed.")


def _say_how_to_look_again(place: Workspace, printer: Printer) -> None:
    programs = Programs(place, Path.cwd())
    printer.say("To look at the folders in the web console again, without the directory:")
    printer.command([*programs.shown("daemon"), "&"])
    printer.command([*programs.shown("web"), "&"])
    printer.command(programs.shown("web", "sign-in"))


def _farewell(place: Workspace) -> str:
    ended = "The daemon, PostgreSQL and slapd have ended."
    if place.database_runs:
        ended = "The daemon and slapd have ended. PostgreSQL runs until the last program that uses it ends."
    left = "is removed" if place.temporary else f"stays in {place.root.name} until the next demo"
    return f"{ended} What the demo wrote {left}."
