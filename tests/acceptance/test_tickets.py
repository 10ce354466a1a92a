"""The recipe of docs/sql.md to wait for a requested run, with a daemon."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import Person, define, outcomes, state
from tests.support.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"


def recipe() -> Callable[[str, str], list[tuple[str, str | None, str | None]]]:
    """Give the function `synchronize` of the page."""
    (block,) = re.findall(r"^```python\n(.*?def synchronize.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  (a page of this project)
    function: Callable[[str, str], list[tuple[str, str | None, str | None]]] = names["synchronize"]
    return function


def test_an_application_waits_for_the_run_that_it_requested(
    database: str, person: Person, directory: PrivateSlapd, make_daemon: Callable[..., Any]
) -> None:
    """Two sessions at once; before the daemon starts, and after; a definition that is not valid is an answer too."""
    synchronize = recipe()
    staff = define(person, directory, schedule="manual")
    daemon = make_daemon(database, READER=directory.reader_password)
    with ThreadPoolExecutor(2) as sessions:
        early = [sessions.submit(synchronize, database, "Staff") for _ in range(2)]
        wait_until(
            lambda: person.execute("SELECT count(*) FROM contactsync.sync_requests").fetchone() == (2,), "both requests"
        )
        daemon.start()
        assert [session.result(60) for session in early] == [[("done", "changed", None)]] * 2
        assert outcomes(person, staff) == ["changed"]
        assert synchronize(database, "Staff") == [("done", "unchanged", None)]
        person.execute("UPDATE contactsync.sync_definitions SET filter = '(a=b'")
        wait_until(lambda: state(person, staff)[0] == "invalid", "the definition to be invalid")
        ((answer, outcome, reason),) = synchronize(database, "Staff")
    assert (answer, outcome) == ("withdrawn", None)
    assert reason
    assert reason.startswith("Not valid: ")
