"""Three nodes under kills, stops, cut networks, drains, ends and lost sessions, while their schedules run."""

from __future__ import annotations

from bench.fleet.harmed import measure_harmed

HARMS = 6
"""Per --faults; six kinds of harms take turns."""


def test_no_harm_makes_runs_overlap(seed: str, times: int) -> None:
    """At most `per_server` runs at once, none of a definition twice; no change and no request is lost."""
    harmed = measure_harmed(0, HARMS * times, seed, directories=2, teams=6)
    assert [figure.what for figure in harmed.figures if not figure.met] == [], harmed
    assert harmed.runs
    assert harmed.changes
    assert harmed.requests
