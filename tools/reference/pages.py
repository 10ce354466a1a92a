"""All pages of the reference that are made from the code."""

from __future__ import annotations

from pathlib import Path

from tools.reference import api, commands, metrics, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def pages() -> dict[Path, str]:
    """The text of each page."""
    return {
        FOLDER / "api-paths.md": api.page(),
        FOLDER / "commands.md": commands.page(),
        FOLDER / "metrics.md": metrics.page(),
        FOLDER / "settings.md": settings.page(),
    }
