"""Builds the site into dist/site, or the folder that is given; a warning is an error (make docs)."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sphinx.cmd.build import main as sphinx_build

ROOT = Path(__file__).parents[2]
SITE = ROOT / "dist" / "site"


def main(site: Path = SITE) -> int:
    """Build the site; returns the exit code."""
    with TemporaryDirectory() as doctrees:
        options = ["--quiet", "--fail-on-warning", "--keep-going", "--nitpicky", "--fresh-env"]
        status = sphinx_build([*options, "-c", str(Path(__file__).parent), "-d", doctrees, str(ROOT), str(site)])
    if not status:
        print(f"The site is in {site}. It begins with {site / 'index.html'}.")  # noqa: T201 -- for people
    return status


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
