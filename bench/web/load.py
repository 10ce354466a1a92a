"""How long the console takes to answer, alone and with several people at once, and its memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from statistics import median
from urllib.parse import quote_plus

import httpx

from bench.figures import KILOBYTES, MILLISECONDS, SECONDS, Figure
from bench.terminal import say
from bench.web.scene import WebScene

_SEARCHES = ("muller", "gunther", "a", "example", "anna schmidt", "u0001", "+49 170", "1701234", "tran", "王", "zzzz")
"""What people type: parts of names without accents, mail addresses, numbers; nobody is called zzzz."""
_PAGES = 200
_STATES = ("", "state=ok", "q=Team+0012", "q=Team+9&state=ok")


def measure_answers(scene: WebScene) -> list[Figure]:
    """Answers of the pages with the most rows behind them."""
    contacts, definition = f"/folders/{scene.definition_id}", scene.definition_id
    pages = [f"{contacts}?after={quote_plus(f'{number}:{name}')}" for number, name in scene.people]
    searches = [f"/folders/{definition}?q={quote_plus(text)}" for text in _SEARCHES]
    people = [f"/contacts/{scene.folder_id}/{number}" for number, _ in scene.people]
    folders = [f"/folders?{state}&after={after}" for after in range(0, 5000, 700) for state in _STATES]
    asked: list[tuple[str, float, Sequence[str], int, int]] = [
        ("page of contacts, 8 at once", 0.15, pages, 8, _PAGES),
        ("search, one at a time", 0.3, searches, 1, 3 * len(searches)),
        ("search, 4 at once", 1, searches, 4, 6 * len(searches)),
        ("one contact, one at a time", 0.15, people, 1, len(people)),
        ("page of folders, one at a time", 0.2, folders, 1, 2 * len(folders)),
        ("page of folders, 8 at once", 0.5, folders, 8, _PAGES),
    ]
    return [_figure(scene, *each) for each in asked]


def measure_memory(scene: WebScene) -> Figure:
    """The memory of the console's process, after everything else."""
    status = Path(f"/proc/{scene.console.process.pid}/status").read_text(encoding="utf-8")
    resident = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))
    return Figure("memory of the console's process", 150e6, [float(resident)], KILOBYTES)


def _figure(scene: WebScene, what: str, limit: float, paths: Sequence[str], at_once: int, times: int) -> Figure:
    clients = [scene.console.administrator() for _ in range(at_once)]
    for client in clients:
        _get(client, paths[0])
    with ThreadPoolExecutor(at_once) as threads:
        asked = [paths[number % len(paths)] for number in range(times)]
        shares = [asked[number::at_once] for number in range(at_once)]
        seconds = [each for share in threads.map(_get_all, clients, shares) for each in share]
    scene.console.close()
    slow = sorted(seconds)[ceil(0.95 * len(seconds)) - 1]
    say(f"  {what}: {median(seconds):.3f} s, p95 {slow:.3f} s")
    return Figure(f"{what}, p95", limit, [slow], SECONDS if limit >= 1 else MILLISECONDS)


def _get_all(client: httpx.Client, paths: Sequence[str]) -> list[float]:
    return [_get(client, path) for path in paths]


def _get(client: httpx.Client, path: str) -> float:
    start = time.perf_counter()
    answer = client.get(path)
    if answer.status_code != httpx.codes.OK:
        raise SystemExit(f"{path} was answered by {answer.status_code}: {answer.text[:300]}")
    return time.perf_counter() - start
