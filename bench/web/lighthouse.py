"""Lighthouse's scores, if it is installed: `make setup-lighthouse` gets it from npm into .lighthouse."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import NUMBER, Figure
from bench.terminal import say
from bench.web.scene import WebScene
from tests.support.web import CHROMIUM

_PROGRAM = Path(__file__).parents[2] / ".lighthouse" / "node_modules" / ".bin" / "lighthouse"
_CATEGORIES = ("performance", "accessibility", "best-practices")
_SECONDS = 180
_ATTEMPTS = 3


def measure_lighthouse(scene: WebScene) -> list[Figure]:
    """The scores in hundredths of some pages, on a desktop and on a simulated telephone; none if it is not there."""
    if not _PROGRAM.exists():
        say("  Lighthouse is not measured, because it is not installed: make setup-lighthouse")
        return []
    scores: dict[str, list[float]] = {category: [] for category in _CATEGORIES}
    contact, _ = scene.people[0]
    for path in ("/", f"/folders/{scene.definition_id}", f"/contacts/{scene.folder_id}/{contact}"):
        for options in ([], ["--preset=desktop"]):
            measured = _scores(scene, path, options)
            if measured is None:
                return []
            for category, score in measured.items():
                scores[category].append(score * 100)
    say("  Lighthouse: " + ", ".join(f"{name} at least {min(each):.0f}" for name, each in scores.items()))
    return [Figure(f"Lighthouse, {name}", 95, each, NUMBER, least=True) for name, each in scores.items()]


def _scores(scene: WebScene, path: str, options: list[str]) -> dict[str, float] | None:
    client = scene.console.administrator()
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    failure = ""
    with TemporaryDirectory() as temporary:
        headers, report = Path(temporary, "headers.json"), Path(temporary, "report.json")
        headers.write_text(json.dumps({"Cookie": cookies}), encoding="utf-8")
        flags = "--headless=new --no-sandbox" if os.geteuid() == 0 else "--headless=new"
        command = [str(_PROGRAM), f"{scene.console.url}{path}", f"--extra-headers={headers}", f"--chrome-flags={flags}"]
        command += [f"--only-categories={','.join(_CATEGORIES)}", "--output=json", f"--output-path={report}", "--quiet"]
        environ = {**os.environ, "CHROME_PATH": CHROMIUM}
        for _ in range(_ATTEMPTS):  # on a busy machine the browser is sometimes too slow for Lighthouse
            try:
                done = subprocess.run(
                    [*command, *options], env=environ, timeout=_SECONDS, capture_output=True, check=False
                )
            except subprocess.TimeoutExpired as error:
                failure = str(error)
                continue
            failure = done.stderr.decode(errors="replace")[:300]
            if not done.returncode:
                document = json.loads(report.read_text(encoding="utf-8"))
                return {name: float(document["categories"][name]["score"] or 0) for name in _CATEGORIES}
    say(f"  Lighthouse is not measured, because it failed at {path}: {failure}")
    return None
