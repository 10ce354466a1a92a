"""`contactsync files`: the list, and copies that never overwrite by accident."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from tests.support.processes import CommandLine, assert_refused

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """Give a command line without a database, which this command does not need."""
    return CommandLine("", tmp_path)


def test_a_folder_is_copied_without_its_name(cli: CommandLine, tmp_path: Path) -> None:
    """Its own folders stay, and the units name the program of this installation."""
    cli.ok("files", "copy", "systemd", "--to", str(tmp_path / "units"))
    copied = {str(path.relative_to(tmp_path / "units")) for path in (tmp_path / "units").rglob("*") if path.is_file()}
    source = ROOT / "deploy" / "systemd"
    assert copied == {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    unit = (tmp_path / "units" / "contactsync.service").read_text()
    assert f"ExecStart={sys.prefix}/bin/contactsync --settings" in unit


def test_everything_is_copied_in_its_folders(cli: CommandLine, tmp_path: Path) -> None:
    """The list and the copies have the same names."""
    target = tmp_path / "all"
    copied = cli.json("files", "copy", "--to", str(target))["copied"]
    names = [file["name"] for file in cli.json("files")["files"]]
    assert [str(target / name) for name in names] == copied
    assert (target / "settings.toml").read_bytes() == (ROOT / "settings.toml").read_bytes()
    assert (target / "postgresql" / "roles.sql").read_bytes() == (ROOT / "deploy/postgresql/roles.sql").read_bytes()


def test_a_file_with_other_content_is_kept(cli: CommandLine, tmp_path: Path) -> None:
    """Nothing is copied, until --force is given; it stays as private as it was. The same content is no conflict."""
    own = tmp_path / "personal-folders.sql"
    own.write_text("-- mine")
    own.chmod(0o640)
    copy = ("files", "copy", "postgresql", "--to", str(tmp_path))
    assert_refused(cli(*copy), 64, str(own), "--force")
    assert own.read_text() == "-- mine"
    assert not (tmp_path / "roles.sql").exists()
    cli.ok(*copy, "--force")
    cli.ok(*copy)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (own.name, "roles.sql")] == [0o640, 0o644]
    assert own.read_bytes() == (ROOT / "deploy/postgresql/personal-folders.sql").read_bytes()


def test_what_cannot_be_copied_is_said(cli: CommandLine, tmp_path: Path) -> None:
    """An unknown name, no target, and a target that is no directory."""
    assert_refused(cli("files", "copy", "systemd/other.service", "--to", str(tmp_path)), 64, "other.service")
    assert_refused(cli("files", "copy", "systemd"), 64, "--to")
    (tmp_path / "file").touch()
    assert_refused(cli("files", "copy", "systemd", "--to", str(tmp_path / "file")), 1, "Not a directory")
