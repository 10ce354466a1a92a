"""The tables of a fleet's benchmark."""

from __future__ import annotations

import pytest

from bench.figures import KILOBYTES, MILLISECONDS, SECONDS, SHARE, Figure
from bench.fleet.results import FleetResults, Harmed, Queue, QueueSize, Round
from bench.fleet.sheets import sheets


@pytest.mark.parametrize(
    ("figure", "wanted", "measured", "met"),
    [
        (Figure("overlaps", 0, [0]), "≤ 0", "0", True),
        (Figure("overlaps", 0, [1]), "≤ 0", "1", False),
        (Figure("again", 8, [2.0, 3.04, 8.1], SECONDS), "≤ 8.0 s", "3.0 s (at most 8.1 s)", False),
        (Figure("cancel", 0.2, [0.05, 0.2], MILLISECONDS), "≤ 200 ms", "125 ms (at most 200 ms)", True),
        (Figure("idle", 0.005, [0.004], SHARE), "≤ 0.50%", "0.40%", True),
        (Figure("octets", 5000, [1250, 5300], KILOBYTES), "≤ 5.0 kB", "3.3 kB (at most 5.3 kB)", False),
        (Figure("memory", 150e6, [112e6], KILOBYTES), "≤ 150 MB", "112 MB", True),
        (Figure("score", 0.95, [0.98, 0.94, 1.0], SHARE, least=True), "≥ 95.00%", "98.00% (at least 94.00%)", False),
    ],
)
def test_a_limit_is_for_the_greatest_value(figure: Figure, wanted: str, measured: str, *, met: bool) -> None:
    """The median is shown, and does not count."""
    assert (figure.wanted, figure.measured, figure.met) == (wanted, measured, met)


def test_each_table_has_its_rows() -> None:
    """Limits, harms, rounds by the number of nodes, and the growth of the queue's tables."""
    harmed = Harmed(1000, 20.0, {"drain": 2}, 30, 4, [Figure("overlaps", 0, [0])])
    cpu = {"daemons": 2.0, "PostgreSQL": 1.0, "directories": 0.5}
    rounds = [Round(0, 1000, 10.0, cpu), Round(1, 1000, 20.0, cpu)]
    queue = Queue(222.0, 30.0, [QueueSize(6660, {"procrastinate_jobs": 2048})], 3)
    limits, harms, by_nodes, growth = sheets(
        FleetResults({}, {}, [Figure("live", 8, [9.0], SECONDS)], harmed, rounds, queue)
    )
    assert limits.rows == [("overlaps", "≤ 0", "0", "met", "1"), ("live", "≤ 8.0 s", "9.0 s", "not met", "1")]
    assert harms.rows == [("drain", "2")]
    assert [row[:5] for row in by_nodes.rows] == [
        ("1 without a fleet", "100", "2.0", "1.0", "0.5"),
        ("1 of a fleet", "50", "2.0", "1.0", "0.5"),
    ]
    assert growth.headings == ("jobs", "minutes at 111 a second", "jobs")
    assert growth.rows == [("6,660", "1", "2")]
    assert "vacuumed 3 times" in growth.note


def test_a_part_that_was_not_measured_has_no_table() -> None:
    """Only the limits are always there."""
    assert [sheet.title for sheet in sheets(FleetResults({}, {}))] == ["Limits"]
