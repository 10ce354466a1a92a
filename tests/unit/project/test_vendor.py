"""The files of others that the repository holds: each is in its table, with its licence, unchanged."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
FOLDERS = ("daemon/contactsync/web/static/vendor", "tests/acceptance/web/vendor")
_ROW = re.compile(r"^\| (\S+) \| npm [^|]+ \| (0BSD|MPL-2\.0) \| ([0-9a-f]{128}) \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_file_has_the_digest_of_its_table(folder: str) -> None:
    """And there is no script besides."""
    scripts = {path.name: hashlib.sha512(path.read_bytes()).hexdigest() for path in (PROJECT / folder).glob("*.js")}
    table = {name: digest for name, _licence, digest in _ROW.findall((PROJECT / folder / "README.md").read_text())}
    assert scripts
    assert scripts == table
