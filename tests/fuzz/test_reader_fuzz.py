"""The fuzz target runs for a minute and finds nothing, and it finds what is wrong with a reader that has a defect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz import seeds

pytestmark = pytest.mark.skipif(
    find_spec("atheris") is None,
    reason="atheris has wheels for CPython 3.11 to 3.13 on x86-64 Linux, and none for here",
)

ROOT = Path(__file__).parents[2]
DEFECTS = ("believes_lengths", "keeps_one_value", "parses_one_value", "makes_too_much_room", "loses_an_octet")
SECONDS = 50
FEW = 3000
"""Inputs that any machine tries in that time; those of developers try 40,000."""
WARNINGS = (
    "-Werror",
    "-Wignore:tagMap is deprecated:DeprecationWarning",  # as in pyproject.toml
    "-Wignore:typeMap is deprecated:DeprecationWarning",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with what the fuzzer starts from, and one for what it finds."""
    seeds.write(tmp_path)
    (tmp_path / "finds").mkdir()
    return tmp_path


def fuzz(*words: str, limits: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a target as a process of its own; its coverage is not measured, since atheris rewrites the same code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, *WARNINGS, "-m", *words, "-seed=4", "-timeout=20", "-rss_limit_mb=1024", *limits]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def finds(folder: Path) -> list[Path]:
    """The inputs that were found to be wrong."""
    return list((folder / "finds").iterdir())


def options(folder: Path) -> tuple[str, ...]:
    """The seeds, and where things are."""
    return str(folder / "seeds"), f"-dict={folder / 'dictionary'}", f"-artifact_prefix={folder / 'finds'}/"


def test_the_reader_withstands_a_minute(folder: Path) -> None:
    """Tens of thousands of inputs, made from what reaches new branches: nothing is found."""
    limits = (f"-max_total_time={SECONDS}", "-print_final_stats=1")

    ended = fuzz("tests.fuzz.reader", *options(folder), limits=limits)

    # The octets too: what is found once in a hundred times is not found again by its reason alone.
    assert [find.read_bytes().hex() for find in finds(folder)] == [], ended.stderr[-4000:]
    assert ended.returncode == 0, ended.stderr[-4000:]
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", ended.stderr)
    assert executed
    assert int(executed[1]) >= FEW


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found_and_can_be_replayed(folder: Path, defect: str) -> None:
    """The input is kept; it is found wrong again by itself, and the sound reader has nothing against it."""
    ended = fuzz("tests.fuzz.defects", defect, *options(folder), limits=("-runs=20000",))

    assert ended.returncode != 0
    assert "Uncaught Python exception" in ended.stdout + ended.stderr
    (find,) = finds(folder)
    assert fuzz("tests.fuzz.defects", defect, str(find), limits=()).returncode != 0
    assert fuzz("tests.fuzz.reader", str(find), limits=()).returncode == 0
