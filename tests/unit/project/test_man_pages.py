"""Man pages, completion and schemas are those of the code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.man_pages import DEPLOY, FOLDERS, pages

MADE = [path for folder in FOLDERS for path in sorted((DEPLOY / folder).iterdir())]


def test_each_page_is_that_of_its_command() -> None:
    """A command that is new or gone, or another help, needs `make man`."""
    written, current = {path: path.read_text(encoding="utf-8") for path in MADE}, pages()
    stale = sorted(path.name for path in written | current if written.get(path) != current.get(path))
    assert stale == [], "run make man"


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed (Debian: man-db)")
def test_man_shows_a_page_without_warnings() -> None:
    """Its commands are known to groff, and what people type stands in it unchanged."""
    page = DEPLOY / "man" / "contactsync-folders-add.1"
    command = ["man", "--warnings=w", "--local-file", str(page)]
    environ = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert done.stderr == ""
    assert r"contactsync folders add Staff --query ldaps://dc1.example.com \ " in done.stdout.replace("\n", " ")


@pytest.mark.parametrize(("shell", "file"), [("bash", "contactsync.bash"), ("zsh", "_contactsync")])
def test_the_completion_is_accepted(shell: str, file: str) -> None:
    """The shell parses it."""
    subprocess.run([shell, "-n", Path(DEPLOY / "completion" / file)], check=True)
