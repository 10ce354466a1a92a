"""tools/install.sh without the network: what it refuses, removes and keeps."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

INSTALLED = (
    "usr/local/lib/contactsync/bin/contactsync",
    "usr/local/bin/contactsync",
    "etc/systemd/system/contactsync.service",
    "etc/systemd/system/contactsync.socket",
    "etc/systemd/system/contactsync-web.service",
    "etc/systemd/system/contactsync-web.socket",
    "etc/systemd/system/contactsync-web-daemon.socket",
    "usr/local/share/man/man1/contactsync.1",
    "usr/local/share/man/man1/contactsync-folders-add.1",
    "usr/local/share/bash-completion/completions/contactsync",
    "usr/local/share/zsh/site-functions/_contactsync",
    "usr/local/share/fish/vendor_completions.d/contactsync.fish",
    "usr/local/share/contactsync/postgresql/roles.sql",
    "usr/lib/sysusers.d/contactsync.conf",
    "usr/lib/tmpfiles.d/contactsync.conf",
)
KEPT = ("etc/contactsync/settings.toml", "var/lib/contactsync/secret.key")
OTHERS = (
    "usr/local/share/man/man1/other.1",
    "usr/local/bin/other",
    "usr/local/lib/other/file",
    "etc/systemd/system/other.service",
)


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """Make the files of an installation, and files of other programs."""
    for name in (*INSTALLED, *KEPT, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def install_script(action: str, stage: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it, always with a stage, so no test can change the machine."""
    environ = {"PATH": os.environ["PATH"], "DESTDIR": str(stage), **variables}
    command = [str(ROOT / "tools" / "install.sh"), action]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def files_in(stage: Path) -> set[str]:
    """List every file below the stage."""
    return {str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file()}


def test_uninstall_keeps_settings_and_data(stage: Path) -> None:
    """It prints where they are; files of other programs stay."""
    done = install_script("uninstall", stage)
    assert done.returncode == 0, done.stderr
    assert files_in(stage) == {*KEPT, *OTHERS}
    assert "/var/lib/contactsync" in done.stdout


def test_a_purge_removes_settings_and_data_as_well(stage: Path) -> None:
    """Only on request."""
    done = install_script("uninstall", stage, PURGE="1")
    assert done.returncode == 0, done.stderr
    assert files_in(stage) == set(OTHERS)


def test_a_relative_prefix_is_refused_before_anything_is_done(stage: Path) -> None:
    """It would depend on the current directory."""
    before = files_in(stage)
    done = install_script("uninstall", stage, PREFIX="usr/local")
    assert done.returncode != 0
    assert "absolute path" in done.stderr
    assert files_in(stage) == before


def test_what_is_installed_is_what_is_tested() -> None:
    """Every installed package is in requirements.lock in the same version, and no test or build tool is installed."""
    tested, installed, build = (pins(f"requirements{kind}.lock") for kind in ("", "-run", "-build"))
    assert (installed | build).items() <= tested.items()
    assert installed.keys() & build.keys() <= {"packaging"}  # which procrastinate needs too
    assert not installed.keys() & {"pytest", "mypy", "ruff", "hypothesis", "uv", "atheris", "matplotlib"}
    assert {"ldap3", "psycopg", "apscheduler"} <= installed.keys()
    assert {"hatchling", "editables"} <= build.keys()


def pins(lock: str) -> dict[str, str]:
    """Read a lock: packages and their versions."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
