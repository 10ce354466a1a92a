"""The page of the web console's benchmark."""

from __future__ import annotations

import json
from pathlib import Path

from bench.figures import KILOBYTES, MILLISECONDS, Figure
from bench.web.part import WebResults, write


def test_a_page_has_each_limit_and_whether_it_is_met(tmp_path: Path) -> None:
    """For readers and for programs."""
    figures = [
        Figure("search, p95", 0.3, [0.301], MILLISECONDS),
        Figure("first visit", 30_000, [21_000, 24_000], KILOBYTES),
        Figure("Lighthouse", 95, [100, 96], least=True),
    ]
    write(WebResults({"date": "2026-11-30"}, {"web contacts": "100"}, figures), tmp_path)
    lines = (tmp_path / "web.md").read_text(encoding="utf-8").splitlines()
    assert "| search, p95 | ≤ 300 ms | 301 ms | not met | 1 |" in lines
    assert "| first visit | ≤ 30.0 kB | 22.5 kB (at most 24.0 kB) | met | 2 |" in lines
    assert "| Lighthouse | ≥ 95 | 98 (at least 96) | met | 2 |" in lines
    assert not any("Lighthouse was not measured" in line for line in lines)
    document = json.loads((tmp_path / "web.json").read_text(encoding="utf-8"))
    assert [figure["met"] for figure in document["figures"]] == [False, True, True]


def test_a_page_without_lighthouse_says_so(tmp_path: Path) -> None:
    """It is measured only where it was installed."""
    write(WebResults({}, {}, [Figure("memory", 1, [1])]), tmp_path)
    assert "Lighthouse was not measured." in (tmp_path / "web.md").read_text(encoding="utf-8")
