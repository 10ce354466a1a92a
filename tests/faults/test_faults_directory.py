"""Runs while the connection to the directory is delayed, stalled, cut, reset, refused, corrupted or slowed down."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from contactsync.model import Outcome
from tests.faults.trial import Trial, faults, repeatable
from tests.faults.world import World
from tests.support.proxy import Harm

STAGES = {"connect", "search"}
"""The stages in which a run needs the directory."""


@pytest.mark.parametrize("way", ["plain", "starttls", "ldaps"])
def test_faults_between_the_daemon_and_the_directory(troubled: World, way: str, seed: str, times: int) -> None:
    """Whatever happens at any octet, the folder is the old or the new one, and the run says which."""
    folder = troubled.folder(way)
    trial = Trial(troubled, folder, troubled.directory(way))
    assert folder.run().outcome is Outcome.CHANGED
    spans = trial.measure()
    footprint = troubled.footprint()
    random = Random(f"{seed}/{way}")  # noqa: S311 -- repeatable, not secret
    for fault in faults(f"{seed}/{way}", spans, each=times):
        options: dict[str, Any] = {"retry_attempts": random.choice((1, 2))}
        if fault.harm is Harm.STALL:
            options |= {"receive_timeout": 0.4, "connect_timeout": 0.4}
        with repeatable(f"{fault}, {options}", seed):
            trial.run(fault, **options)
    assert trial.tried.stages.keys() >= STAGES
    assert trial.tried.outcomes.keys() == {Outcome.CHANGED, Outcome.FAILED}, trial.tried
    troubled.expect_footprint(footprint)
