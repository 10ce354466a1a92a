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

MMDEBSTRAP = """#!/bin/sh
for place; do :; done
echo "mmdebstrap $place" >>"$CALLS"
: >"$place"
"""

Call = Callable[..., subprocess.CompletedProcess[str]]
Setup = Callable[..., list[str]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy the files that the script needs. The packages of the Debian package and of the image are not downloaded."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "tools", clone / "tools")
    (clone / "tools" / "install.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    for name in (*LOCKS, "pyproject.toml", "settings.toml"):
        shutil.copy(ROOT / name, clone)
    for name in ("deploy", "daemon/contactsync/files"):
        shutil.copytree(ROOT / name, clone / name, symlinks=True)
    return clone


@pytest.fixture
def mmdebstrap(tmp_path: Path) -> Path:
    """Replace the program that makes a Debian; it records its calls."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(MMDEBSTRAP, encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def call(clone: Path, mmdebstrap: Path, tmp_path: Path) -> Call:
    """Run the script."""
    fake = tmp_path / "python"
    fake.write_text(FAKE, encoding="utf-8")
    fake.chmod(0o755)
    environ = {
        "PATH": f"{mmdebstrap.parent}:{os.environ['PATH']}",
        "PYTHON": str(fake),
        "FAKE": str(fake),
        "CALLS": str(tmp_path / "calls"),
    }

    def call(*purpose: str) -> subprocess.CompletedProcess[str]:
        command = [str(clone / "tools" / "setup.sh"), *purpose]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def setup(call: Call, tmp_path: Path) -> Setup:
    """Run the script, and give what it installs."""

    def run(*purpose: str) -> list[str]:
        (tmp_path / "calls").write_text("", encoding="utf-8")
        done = call(*purpose)
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
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


def test_a_debian_for_packages_is_made_once(setup: Setup, clone: Path, tmp_path: Path) -> None:
    """That of the image is made for its tests already, and made again if its packages change."""
    calls = tmp_path / "calls"
    setup("test")
    made = calls.read_text(encoding="utf-8").count("mmdebstrap")
    assert made == (2 if os.geteuid() == 0 else 1)
    setup("image")
    setup("test")
    assert "mmdebstrap" not in calls.read_text(encoding="utf-8")
    script = clone / "tools" / "setup.sh"
    script.write_text(
        script.read_text(encoding="utf-8").replace("ca-certificates,tini", "ca-certificates"), encoding="utf-8"
    )
    setup("image")
    assert calls.read_text(encoding="utf-8").count("mmdebstrap") == 1


def test_without_the_network_tests_of_packages_are_skipped(call: Call, clone: Path, mmdebstrap: Path) -> None:
    """All others run; an image is not made."""
    mmdebstrap.write_text("#!/bin/sh\nexit 100\n", encoding="utf-8")
    done = call("test")
    assert done.returncode == 0
    assert "The tests of the container image will be skipped." in done.stdout
    assert list((clone / ".setup" / "root").iterdir()) == []
    refused = call("image")
    assert refused.returncode != 0
    assert "it needs Debian's packages from the network" in refused.stdout
