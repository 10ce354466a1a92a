"""Finds and reads the settings file, applies the environment, and validates the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contactsync.errors import SettingsError
from contactsync.settings.file import (
    FILE_VARIABLE,
    HINT,
    SEARCH,
    fill_in_places,
    find_settings_file,
    override,
    parse,
    read_text,
    variable_of,
)
from contactsync.settings.messages import Describer, unknown_variables
from contactsync.settings.schema import Origin, Settings

_PLACES = {
    ("state", "directory"),
    ("secrets", "key_file"),
    ("control", "socket"),
    ("web", "socket"),
    ("database", "url_file"),
}
"""The paths that `fill_in_places` sets."""


def load_settings(path: Path | None, environ: Mapping[str, str], *, search: Sequence[Path] = SEARCH) -> Settings:
    """The settings of the file and the environment. Raises SettingsError with all errors at once."""
    file = find_settings_file(path, environ, search=search)
    text = read_text(file) if file else ""
    values = parse(text, file)
    overrides = override(values, environ, _variables())
    describer = Describer(text, file, overrides)
    origins = _origins(values, overrides, describer)
    fill_in_places(values, environ, of_system=file == search[0])
    errors = unknown_variables(environ, {*_variables(), FILE_VARIABLE})
    errors += _take_url(values, origins)
    try:
        settings = Settings(**values)
    except ValidationError as invalid:
        errors += [describer.sentence(detail) for detail in invalid.errors(include_url=False)]
        raise _error(errors) from None  # pydantic's own text shows the values, a password among them
    if errors:
        raise _error(errors)
    return settings.with_origins(origins, file)


def _take_url(values: dict[str, Any], origins: dict[str, Origin]) -> list[str]:
    """Set the URL of the database to the content of its file. Returns what is wrong, as sentences."""
    database = values["database"]
    path = database.get("url_file") if isinstance(database, dict) else None
    if not (isinstance(path, str) and path.startswith("/")):
        return []  # none, or one that the validation refuses
    if database.get("url"):
        return ["database.url and database.url_file are both set; remove one of them."]
    try:
        url = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        return [f"{path}, which database.url_file names, cannot be read: {reason}."]
    if not url:
        return [f"{path}, which database.url_file names, is empty."]
    database["url"] = url
    origins["database.url"] = Origin("file", path)
    return []


@cache
def _variables() -> dict[str, tuple[str, str]]:
    """The section and the key of each environment variable."""
    sections = Settings().model_dump().items()
    return {variable_of(section, key): (section, key) for section, keys in sections for key in keys}


def _origins(
    values: Mapping[str, Any], overrides: Mapping[str, Mapping[str, str]], describer: Describer
) -> dict[str, Origin]:
    """The origin of each setting that is in the file or the environment; an empty path is not set there."""
    given = [
        (section, key)
        for section, table in values.items()
        for key, value in (table.items() if isinstance(table, dict) else ())
        if value or (section, key) not in _PLACES
    ]
    return {
        f"{section}.{key}": Origin("environment", variable_of(section, key))
        if key in overrides.get(section, ())
        else Origin("file", describer.where([section, key]))
        for section, key in given
    }


def _error(errors: list[str]) -> SettingsError:
    if len(errors) == 1:
        return SettingsError(errors[0], hint=HINT)
    lines = "".join(f"\n- {error}" for error in errors)
    return SettingsError(f"There are {len(errors)} problems with the settings:{lines}", hint=HINT, problems=errors)
