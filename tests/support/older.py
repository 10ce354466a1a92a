"""The program of the last release, which nodes and databases are upgraded from."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import contactsync

ROOT = Path(__file__).parents[2]
OLDER = "c88d5853dc50fc8d42de252f9d24b5cf92fb4b26"
"""The commit of the older program: that of the last release, once there is one."""
MIGRATIONS = Path("contactsync/store/migrations")
_SERVES = re.compile(r"^-- serves: ([0-9]{4})$", re.MULTILINE)


def older_package(place: Path) -> Path:
    """The unpacked wheel of the older program. Skips the test without it, or if it cannot use today's schema."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", OLDER]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"This clone has no commit {OLDER[:7]}, whose program would be the older one.")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place / "source", filter="data")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=place / "source", capture_output=True, check=True)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place / "installed")  # noqa: S202 -- a wheel of our own
    if not _served(place / "installed"):
        pytest.skip("A migration since then serves no older program.")
    return place / "installed"


def _served(older: Path) -> bool:
    """Whether the older program works with each migration that it does not know."""
    known = {file.name for file in (older / MIGRATIONS).glob("*.sql")}
    level = max(known)[:4]
    files = Path(contactsync.__file__).parents[1].joinpath(MIGRATIONS).glob("*.sql")
    texts = [file.read_text(encoding="utf-8") for file in files if file.name not in known]
    return all((match := _SERVES.search(text)) and match[1] <= level for text in texts)
