"""`make soak` for some seconds, and its measurements."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.endurance.vitals import Log, Vitals, growth

ROOT = Path(__file__).parents[2]
VITALS = Vitals(memory=100 << 20, threads=17, sockets=20, files=25)


def test_a_short_soak(pytestconfig: pytest.Config, short_path: Path) -> None:
    """The daemon, a slapd and a PostgreSQL are stopped, killed and cut off, and every folder is in sync afterwards."""
    seed = str(pytestconfig.getoption("--fault-seed"))
    options = ["--minutes", "0.4", "--definitions", "30", "--every", "5s", "--seed", seed]
    command = [sys.executable, "-m", "tests.endurance.soak", *options]
    environ = {**os.environ, "TMPDIR": str(short_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"To repeat it: python -m tests.endurance.soak {' '.join(options)}\n{done.stdout}{done.stderr}"
    )
    assert "Every folder was in sync" in done.stdout


@pytest.mark.parametrize("name", ["memory", "threads", "sockets", "files"])
def test_what_grows_is_noticed(name: str) -> None:
    """From measurement to measurement; what comes in the beginning is no growth."""
    grown = getattr(VITALS, name) * 2
    assert not list(growth([VITALS] * 9))
    assert not list(growth([replace(VITALS, **{name: 1})] * 3 + [VITALS] * 6))
    (problem,) = growth([VITALS] * 6 + [replace(VITALS, **{name: grown + 30})] * 3)
    assert problem.startswith(f"The {name} grew")
    assert list(growth([VITALS] * 2))


def test_what_a_log_complains_of(tmp_path: Path) -> None:
    """Each line once, and only when it is whole; some are defects in any case."""
    file = tmp_path / "daemon.log"
    fine, warning = '{"event": "run.finished", "level": "info"}', '{"event": "database.lost", "level": "warning"}'
    crash, words = '{"event": "run.crashed", "level": "error"}', "Traceback (most recent call last):"
    log = Log(file)
    file.write_text(f"{fine}\n{warning}\n{crash}\n{words}\n{fine[:20]}")
    assert log.defects() == [crash, words]
    assert log.complaints() == []
    with file.open("a") as stream:
        stream.write(f"{fine[20:]}\n{warning}\n")
    assert log.complaints() == [warning]
