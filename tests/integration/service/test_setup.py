"""tools/setup.sh downloads the packages for each purpose once. A program that records its calls replaces Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ("requirements.lock", "requirements-run.lock", "requirements-build.lock")
FAKE = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
*'print("%d.%d"'*) echo 3.11 ;;
"-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$FAKE" .venv/bin/python ;;
esac
"""

Setup = Callable[..., list[str]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy the files that the script needs."""
    shutil.copytree(ROOT / "tools", tmp_path / "clone" / "tools")
    for name in (*LOCKS, "pyproject.toml", "settings.toml"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    for name in ("deploy", "daemon/contactsync/files"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, symlinks=True)
    return tmp_path / "clone"


@pytest.fixture
def setup(clone: Path, tmp_path: Path) -> Setup:
    """Run the script, and give what it installs."""
    fake, calls = tmp_path / "python", tmp_path / "calls"
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def run(*purpose: str) -> list[str]:
        calls.write_text("")
        environ = {"PATH": os.environ["PATH"], "PYTHON": str(fake), "FAKE": str(fake), "CALLS": str(calls)}
        subprocess.run([clone / "tools" / "setup.sh", *purpose], env=environ, check=True, capture_output=True)
        lines = calls.read_text().splitlines()
        return [line.split()[-1] for line in lines if " install " in line or "venv --clear" in line]

    return run


def test_a_demo_downloads_no_tools_and_a_test_adds_them(setup: Setup) -> None:
    """The demo installs only what it needs, and everything is installed once."""
    assert setup() == [".venv", "requirements-run.lock", "requirements-build.lock", "."]
    assert setup() == []
    assert setup("test") == ["requirements.lock"]
    assert setup("test") == setup("tools") == setup("bench") == setup() == []


def test_a_demo_after_a_test_has_all_it_needs(setup: Setup) -> None:
    """In the other order nothing is downloaded again."""
    assert setup("test") == [".venv", "requirements-run.lock", "requirements-build.lock", "requirements.lock", "."]
    assert setup() == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_changed_lock_makes_the_environment_anew(setup: Setup, clone: Path, lock: str) -> None:
    """So nothing of the old one stays."""
    setup("test")
    with (clone / lock).open("a") as file:
        file.write("# changed\n")
    assert setup() == [".venv", "requirements-run.lock", "requirements-build.lock", "."]
    assert setup("test") == ["requirements.lock"]


def test_a_demo_ignores_the_lock_of_the_tools(setup: Setup, clone: Path) -> None:
    """As long as no tool is installed."""
    setup()
    (clone / "requirements.lock").write_text("# changed\n")
    assert setup() == []


def test_an_unpacked_sdist_gets_the_links_of_a_clone(setup: Setup, clone: Path) -> None:
    """An sdist has none, and `contactsync files` of its environment reads them."""
    links = {path: path.readlink() for path in (clone / "daemon/contactsync/files").iterdir() if path.is_symlink()}
    for path in links:
        path.unlink()
    setup()
    assert {path: path.readlink() for path in links} == links
    assert all(path.exists() for path in links)
