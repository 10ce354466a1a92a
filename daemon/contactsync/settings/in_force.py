"""The settings in force: each value, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from contactsync.settings.schema import Settings
from contactsync.settings.types import Section

Value = bool | int | float | str


class SettingInForce(BaseModel):
    """A setting."""

    name: str = Field(description="Section and key.", examples=["scheduler.workers"])
    value: Value = Field(description="A secret is `set` or `not set`.", examples=[8])
    source: Literal["environment", "file", "default"]
    where: str | None = Field(
        description="The environment variable, or the file with the line; null for a default.",
        examples=["/etc/contactsync/settings.toml, line 12"],
    )
    default: Value | None = Field(description="Null if it depends on the machine and the user.", examples=[8])


def settings_in_force(settings: Settings) -> list[SettingInForce]:
    """Every setting in the order of settings.toml. No value is a secret."""
    return [
        SettingInForce(
            name=name, value=_plain(value), source=origin.source, where=origin.where, default=_default(section, key)
        )
        for name, section, key, value in _settings(settings)
        for origin in [settings.origin(name)]
    ]


def _settings(settings: Settings) -> Iterator[tuple[str, Section, str, object]]:
    for section_name in Settings.model_fields:
        section: Section = getattr(settings, section_name)
        for key in type(section).model_fields:
            yield f"{section_name}.{key}", section, key, getattr(section, key)


def _default(section: Section, key: str) -> Value | None:
    default = type(section).model_fields[key].default
    return _plain(default) if isinstance(default, bool | int | float | str | SecretStr) else None


def _plain(value: object) -> Value:
    if isinstance(value, SecretStr):
        return "set" if value.get_secret_value() else "not set"
    return value if isinstance(value, bool | int | float) else str(value)
