"""The fuzzer finds nothing in the reader, and finds the defect of a broken one."""

from __future__ import annotations

import os
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
RUNS = 20_000
"""Inputs of a test, always the same; after a tenth of them few reach new branches."""
EARLIER_FINDS = {
    "a length of 64 bits": "001c20 3025 0284 00000001 05 731c 0488 e6879e928f93cb78 0200 0410"
    "616e6e6140a06578616d706c652e636f6d",
}
WARNINGS = (
    "-Werror",
    "-Wignore:tagMap is deprecated:DeprecationWarning",  # as in pyproject.toml
    "-Wignore:typeMap is deprecated:DeprecationWarning",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with the seeds and one for the finds."""
    seeds.write(tmp_path)
    (tmp_path / "finds").mkdir()
    return tmp_path


def fuzz(*words: str, limits: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a target as a process, without measuring coverage: atheris instruments the same code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment["PYTHONHASHSEED"] = "0"
    command = [sys.executable, *WARNINGS, "-m", *words, "-seed=4", "-timeout=100", "-rss_limit_mb=1024", *limits]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def finds(folder: Path) -> list[Path]:
    """The inputs of the finds."""
    return list((folder / "finds").iterdir())


def options(folder: Path) -> tuple[str, ...]:
    """The options for seeds, dictionary and finds."""
    return str(folder / "seeds"), f"-dict={folder / 'dictionary'}", f"-artifact_prefix={folder / 'finds'}/"


def test_nothing_is_found_in_the_reader(folder: Path) -> None:
    """In thousands of inputs."""
    ended = fuzz("tests.fuzz.reader", *options(folder), limits=(f"-runs={RUNS}", "-print_final_stats=1"))

    # With the octets, because a rare find is not found again by its reason alone.
    assert [find.read_bytes().hex() for find in finds(folder)] == [], ended.stderr[-4000:]
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert f"stat::number_of_executed_units: {RUNS}" in ended.stderr


@pytest.mark.parametrize("octets", EARLIER_FINDS.values(), ids=EARLIER_FINDS)
def test_earlier_finds_are_read_or_refused(folder: Path, octets: str) -> None:
    """By the reader and by the other decoders."""
    find = folder / "find"
    find.write_bytes(bytes.fromhex(octets))
    ended = fuzz("tests.fuzz.reader", str(find), limits=())
    assert ended.returncode == 0, ended.stderr[-4000:]


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found_and_can_be_replayed(folder: Path, defect: str) -> None:
    """Its input is kept, fails again alone, and does not fail with the sound reader."""
    ended = fuzz("tests.fuzz.defects", defect, *options(folder), limits=(f"-runs={RUNS}",))

    assert ended.returncode != 0
    assert "Uncaught Python exception" in ended.stdout + ended.stderr
    (find,) = finds(folder)
    assert fuzz("tests.fuzz.defects", defect, str(find), limits=()).returncode != 0
    assert fuzz("tests.fuzz.reader", str(find), limits=()).returncode == 0
