"""The last part of the story: small changes every few seconds, shown as they arrive, until the demo is stopped."""

from __future__ import annotations

from itertools import count
from random import Random

from contactsync.demo.environment import Environment
from contactsync.demo.introduction import PEOPLE
from contactsync.demo.printer import Printer
from contactsync.demo.scenarios import is_in_sales
from contactsync.store.embedded import psql_command
from contactsync.testing.names import DEPARTMENTS, TITLES
from contactsync.testing.people import department_dn, make_person, make_photo

_POLL_SECONDS = 0.25
_POLLS_PER_CHANGE = 16
_RUNS_READ_AGAIN = 20
_MOST_LINES = 8
"""Lines at a time: a user may edit a folder so that all of it changes."""
_FIRST_NEW = PEOPLE + 1000
"""The number of the first person who joins now; the scenarios took from the numbers before."""


class LiveChanges:
    """Changes the directory at random, and shows what arrives in the folders, also by changes of others."""

    def __init__(self, environment: Environment, printer: Printer) -> None:
        self._environment = environment
        self._database = environment.database
        self._printer = printer
        self._random = Random()  # noqa: S311 -- no secret
        self._people = environment.company.people()
        self._new = count(_FIRST_NEW)
        self._start = self._database.last_run_id()
        self._shown: set[int] = set()

    def show(self) -> None:
        """Go on until Stopped is raised."""
        self._introduce()
        for poll in count():
            if poll % _POLLS_PER_CHANGE == 0:
                self._change_something()
            self._show_news()
            self._environment.programs.check_daemon()
            self._environment.stopper.pause(_POLL_SECONDS)

    def _introduce(self) -> None:
        programs, printer = self._environment.programs, self._printer
        printer.step("And so on")
        printer.say("Look around from another terminal, in this directory. SQL; start with contactsync.contacts:")
        printer.command([psql_command(self._environment.conninfo)])
        printer.say("The folders, a folder's definition, one run by hand, and the daemon's log:")
        for arguments in (("folders", "list"), ("folders", "show", "anna/Sales"), ("sync", "Staff")):
            printer.command(programs.shown(*arguments))
        printer.command(["tail", "-f", programs.short(self._environment.place.log)])
        printer.say("Another link to the web console:")
        printer.command(programs.shown("web", "sign-in"))
        printer.say("Meanwhile the directory changes every few seconds. Ctrl-C ends the demo and all that it started.")
        printer.line("")

    def _change_something(self) -> None:
        company, random = self._environment.company, self._random
        # Half of the time a person who may be in both folders, so that something happens in both.
        sellers = [entry for entry in self._people if is_in_sales(entry.dn)]
        who = random.choice(random.choice((sellers, self._people)) or self._people)
        self._people.remove(who)
        kind = random.randrange(6)
        if kind == 0:
            company.delete(who)
            who = company.add(make_person(next(self._new)))
        elif kind == 1:
            who = company.move(who, random.choice([name for name in DEPARTMENTS if department_dn(name) != who.parent]))
        else:
            changes: dict[str, str | bytes] = {
                "jpegPhoto": make_photo(f"{random.random()}"),
                "title": random.choice(TITLES),
                "mobile": f"+44 7700 900{random.randrange(1000):03d}",
            }
            name = random.choice(list(changes))
            who = company.edit(who, {name: [changes[name]]})
        self._people.append(who)

    def _show_news(self) -> None:
        # A run may end before one with a smaller id, so the last few are read again.
        after = max(self._start, self._database.last_run_id() - _RUNS_READ_AGAIN)
        for run in self._database.failures(after=after):
            if run.run_id not in self._shown:
                self._printer.line(f"{run.finished_at.astimezone():%H:%M:%S}  {run.label}: {run}", style="red")
                self._shown.add(run.run_id)
        news = [recorded for recorded in self._database.history(after=after) if recorded.run_id not in self._shown]
        for recorded in news[:_MOST_LINES]:
            self._printer.recorded(recorded)
        if len(news) > _MOST_LINES:
            self._printer.line(f"          and {len(news) - _MOST_LINES:,} more")
        self._shown.update(recorded.run_id for recorded in news)
