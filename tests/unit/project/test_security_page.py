"""Every claim of SECURITY.md names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda part: part)
def test_the_test_of_a_claim_exists(file: str, test: str) -> None:
    """The test that a claim names is in the file that it names."""
    (path,) = (ROOT / "tests").rglob(file)
    assert re.search(rf"^def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_each_claim_has_a_test() -> None:
    """Every row of a table of claims has at least one test."""
    rows = re.findall(r"^\| (?!claim|what|---|\w+ \|)(.*) \| (.*) \|$", PAGE, re.MULTILINE)
    claims = [row for row in rows if row[0].endswith(".")]
    assert len(claims) > 20
    assert all("::test_" in tests for _, tests in claims)
