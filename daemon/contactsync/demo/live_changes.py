"""The end without an end: small changes every few seconds, shown as they arrive, until somebody stops the demo."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import TYPE_CHECKING

from contactsync.demo.introduction import PEOPLE
from contactsync.demo.scenes import is_in_sales
from contactsync.store.embedded import psql_command
from contactsync.testing.names import DEPARTMENTS, TITLES
from contactsync.testing.people import department_dn, make_person, make_photo

if TYPE_CHECKING:
    from contactsync.demo.environment import Environment
    from contactsync.demo.printer import Printer

_CHANGE_SECONDS = 4.0
_LOOK_SECONDS = 0.25
_LOOKED_AT_AGAIN = 20
_MOST_LINES = 8
"""Lines that one look may show: somebody may edit a folder so that all of it changes."""
_FIRST_NEW = PEOPLE + 1000
"""Where the numbers of those begin who join now, after those whom the scenes took from."""


class GoingOn:
    """Changes the directory at random, and shows whatever arrives in the folders, whoever caused it."""

    def __init__(self, stage: Environment, printer: Printer) -> None:
        self._stage = stage
        self._teller = printer
        self._random = Random()  # noqa: S311 -- no secret
        self._people = stage.company.people()
        self._new = count(_FIRST_NEW)
        self._start = stage.watcher.last_run_id()
        self._shown: set[int] = set()

    def tell(self) -> None:
        """Go on until Stopped is raised."""
        self._say_how_to_look_around()
        looks = round(_CHANGE_SECONDS / _LOOK_SECONDS)
        for look in count():
            if look % looks == 0:
                self._change_something()
            self._show_news()
            self._stage.programs.check_daemon()
            self._stage.stopper.pause(_LOOK_SECONDS)

    def _say_how_to_look_around(self) -> None:
        programs, printer = self._stage.programs, self._teller
        printer.step("And so on")
        printer.say("Look around from another terminal, in this directory. SQL; begin with contactsync.contacts:")
        printer.command([psql_command(self._stage.conninfo)])
        printer.say("The folders, a folder's definition, one run by hand, and the daemon's log:")
        for arguments in (("folders", "list"), ("folders", "show", "anna/Sales"), ("sync", "Staff")):
            printer.command(programs.shown(*arguments))
        printer.command(["tail", "-f", programs.short(self._stage.place.log)])
        printer.say("Meanwhile the directory changes every few seconds. Ctrl-C ends the demo and all that it started.")
        printer.line("")

    def _change_something(self) -> None:
        company, random = self._stage.company, self._random
        # Half of the time somebody whom both folders may have, so that there is something to see in both.
        sellers = [entry for entry in self._people if is_in_sales(entry.dn)]
        who = random.choice(random.choice((sellers, self._people)) or self._people)
        self._people.remove(who)
        what = random.randrange(6)
        if what == 0:
            company.delete(who)
            self._people.append(company.add(make_person(next(self._new))))
        elif what == 1:
            elsewhere = [name for name in DEPARTMENTS if department_dn(name) != who.parent]
            self._people.append(company.move(who, random.choice(elsewhere)))
        else:
            name, value = random.choice(
                (
                    ("jpegPhoto", make_photo(f"{random.random()}")),
                    ("title", random.choice(TITLES)),
                    ("mobile", f"+44 7700 900{random.randrange(1000):03d}"),
                )
            )
            self._people.append(company.edit(who, {name: [value]}))

    def _show_news(self) -> None:
        # A run may end before one with a smaller number; so the last few are looked at again.
        after = max(self._start, self._stage.watcher.last_run_id() - _LOOKED_AT_AGAIN)
        for run in self._stage.watcher.failures(after=after):
            if run.run_id not in self._shown:
                self._teller.line(f"{run.finished_at.astimezone():%H:%M:%S}  {run.label}: {run.told}", style="red")
                self._shown.add(run.run_id)
        news = [entry for entry in self._stage.watcher.recorded(after=after) if entry.run_id not in self._shown]
        for entry in news[:_MOST_LINES]:
            self._teller.recorded(entry)
        if len(news) > _MOST_LINES:
            self._teller.line(f"          and {len(news) - _MOST_LINES:,} more")
        self._shown.update(entry.run_id for entry in news)
