"""SECURITY.md: every claim names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda part: part)
def test_a_test_that_holds_a_claim_exists(file: str, test: str) -> None:
    """One that was renamed or removed leaves its claim without support."""
    (path,) = (ROOT / "tests").rglob(file)
    assert re.search(rf"^def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_each_claim_has_a_test() -> None:
    """A row of a table of claims without one says more than anybody knows."""
    rows = re.findall(r"^\| (?!claim|what|---|\w+ \|)(.*) \| (.*) \|$", PAGE, re.MULTILINE)
    claims = [row for row in rows if row[0].endswith(".")]
    assert len(claims) > 20
    assert all("::test_" in tests for _, tests in claims)
