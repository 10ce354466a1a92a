"""The view `definition_overview`: one state and one reason for each definition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import psycopg

from contactsync.settings.schema import Guard
from contactsync.store.health import count_by_state, read_health
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change


def overview(folder: SyncedFolder) -> tuple[str, str | None]:
    """Give state and reason of the folder's definition; the metrics have the same state."""
    (row,) = folder.query(
        "SELECT state, reason FROM contactsync.definition_overview WHERE definition_id = %s", folder.definition_id
    )
    with folder.connection() as connection:
        health = {row["definition_id"]: row["state"] for row in read_health(connection)}
    assert health[folder.definition_id] == row["state"]
    return row["state"], row["reason"]


def test_each_state_has_its_reason(make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd) -> None:
    """A definition passes through all states, by its runs, an edit and a pause."""
    folder = make_folder(directory)
    assert overview(folder) == ("never_run", None)
    folder.run()
    assert overview(folder) == ("ok", None)
    change(directory)
    held = folder.run(guard=Guard(delete_count=0, always_allow=0))
    assert overview(folder) == ("held", held.held_reason)
    folder.edit(base="ou=nowhere," + directory.suffix)
    failed = folder.run()
    assert overview(folder) == ("failing", failed.error)
    folder.edit(base=None, filter="(cn=x")
    wrong = folder.run()
    assert overview(folder) == ("invalid", wrong.error)
    folder.edit(filter=None, enabled=False)
    folder.expect_in_sync()
    assert overview(folder) == ("paused", None)
    folder.edit(enabled=True)
    folder.set_password("wrong")
    refused = folder.run()
    assert overview(folder) == ("locked", refused.error)
    folder.set_password(directory.reader_password)
    assert overview(folder) == ("failing", refused.error)
    runner = folder.runner()
    runner.cancel_all()
    folder.run(runner=runner)
    assert overview(folder) == ("interrupted", None)


def test_a_folder_is_counted_by_its_worst_definition(database: str) -> None:
    """Of an invalid and a paused definition the folder is invalid; one that is paused only is paused."""
    with psycopg.connect(database, autocommit=True) as person:
        person.execute("INSERT INTO contactsync.folders (name) VALUES ('A'), ('B'), ('C')")
        person.execute(
            "INSERT INTO contactsync.sync_definitions (folder_id, name, query, enabled)"
            " SELECT folder_id, d, 'dc1', false FROM contactsync.folders, unnest('{one,two}'::text[]) AS d"
        )
        person.execute(
            "INSERT INTO contactsync.sync_status (folder_id, definition_id, state)"
            " SELECT folder_id, min(definition_id), 'invalid' FROM contactsync.sync_definitions"
            " JOIN contactsync.folders USING (folder_id) WHERE folders.name <> 'C' GROUP BY folder_id"
        )
        counts = count_by_state(person)
    assert Counter({state: number for state, number, *_ in counts}) == {"invalid": 2, "paused": 1}
    assert [label for _, _, label, *_ in counts] == ["A", "C"]
