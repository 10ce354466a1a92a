"""The settings.toml of this release, which explains every setting."""

from __future__ import annotations

from importlib.resources import files


def documented_settings() -> str:
    """The text of the file: every setting with its meaning, its unit and its default, as a comment."""
    return files("contactsync.files").joinpath("settings.toml").read_text(encoding="utf-8")
