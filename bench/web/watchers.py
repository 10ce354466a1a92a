"""Many browsers that watch one run: how long after each other they see its end, and over how many connections."""

from __future__ import annotations

from bench.figures import SECONDS, Figure
from bench.terminal import say
from bench.web.scene import WebScene
from tests.support.watchers import follow_run

_PEOPLE = 10


def measure_watchers(scene: WebScene, watchers: int) -> list[Figure]:
    """Follow a run of the large folder with so many streams of several people."""
    people = [scene.console.administrator() for _ in range(_PEOPLE)]
    followed = follow_run(scene.console, scene.definition_id, watchers, people)
    scene.console.close()
    say(f"  {watchers} watchers of a run: the last one saw the end {followed.apart:.3f} s after the first")
    what = f"{watchers} watchers of a run"
    return [
        Figure(f"{what}: from the first one that sees its end to the last", 0.5, [followed.apart], SECONDS),
        Figure(f"{what}: connections to the daemon while they wait", 1, [float(followed.connections)]),
    ]
