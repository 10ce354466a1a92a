"""Man pages, completion and schemas are those of the code, and the bill of materials is that of the lock."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.man_pages import DEPLOY, FOLDERS, pages
from tools.sbom import bill, licence_texts, locked

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


def test_the_bill_has_every_package_of_the_lock() -> None:
    """Each with its version and licence, and each reference leads to a component; it is the same each time."""
    document = bill()
    listed = {each["name"]: each["version"] for each in document["components"]}
    assert locked().items() <= listed.items()
    assert listed.keys() - locked().keys() == {"htmx.org"}
    assert all(each["licenses"] for each in document["components"])
    known = {each["bom-ref"] for each in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    referred = {name for each in document["dependencies"] for name in (each["ref"], *each["dependsOn"])}
    assert referred == known
    assert bill() == document


def test_the_licences_of_all_packages_are_there() -> None:
    """Each package has a heading, and most ship their texts."""
    texts = licence_texts()
    assert all(f"\n{name} {version}: " in texts for name, version in locked().items())
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in texts
