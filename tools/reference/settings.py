"""The page of the settings, from settings.toml and the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

from contactsync.settings.schema import Settings
from tools.reference.markdown import code, prose, table

FILE = Path(__file__).parents[2] / "settings.toml"

_HEAD = """# Settings

Each setting with its meaning and default, from [settings.toml](../../settings.toml); `make man` writes this page.
[Change the settings](../how-to/settings.md) shows how.

"""
_SECTION = re.compile(r"^\[(\w+)\]$", re.MULTILINE)
_COMMENTED = re.compile(r"((?:^# .*\n)+)((?:^#\w+ = .*\n?)+)", re.MULTILINE)
_SETTING = re.compile(r"^#(\w+) = (.*)$", re.MULTILINE)

_PAGE = re.compile(r"docs/([\w/-]+\.md)")


def page() -> str:
    """The text of the page."""
    return _HEAD + "\n".join(_lines(FILE.read_text(encoding="utf-8"))).rstrip() + "\n"


def _lines(text: str) -> Iterator[str]:
    introduction, *sections = _SECTION.split(text)
    for paragraph in _uncommented(introduction).strip().split("\n\n"):
        yield from (prose(paragraph), "")
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        yield from (f"## [{name}]", "", prose(getdoc(Settings.model_fields[name].annotation) or ""), "")
        rows = [
            [code(f"{name}.{key}"), code("" if default == '""' else default), _linked(prose(_uncommented(comment)))]
            for comment, settings in _COMMENTED.findall(body)
            for key, default in _SETTING.findall(settings)
        ]
        yield from table(["setting", "default", "meaning"], rows)


def _uncommented(comment: str) -> str:
    return re.sub(r"^# ?", "", comment, flags=re.MULTILINE)


def _linked(text: str) -> str:
    return _PAGE.sub(r"[docs/\1](../\1)", text)
