"""Finds and reads the settings file, applies the environment, and validates the result."""

from __future__ import annotations

import os
import pwd
import stat
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contactsync.errors import SettingsError
from contactsync.settings.messages import Describer, unknown_variables
from contactsync.settings.schema import (
    DELIMITER,
    KEY_FILE_NAME,
    PREFIX,
    SOCKET_NAME,
    SYSTEM_RUNTIME,
    SYSTEM_STATE,
    Origin,
    Settings,
)

FILE_VARIABLE = f"{PREFIX}SETTINGS"

# The system's file comes first: on a machine that has one, every command has the same settings in any directory.
# Without it, the file in the current directory applies.
SEARCH = (Path("/etc/contactsync/settings.toml"), Path("settings.toml"))

SYSTEM_USER = "contactsync"
_PLACES = {("state", "directory"), ("secrets", "key_file"), ("control", "socket")}
"""The paths that `_fill_in_places` sets."""

_HINT = "`contactsync settings` prints every setting with its meaning and its default."


def load_settings(path: Path | None, environ: Mapping[str, str], *, search: Sequence[Path] = SEARCH) -> Settings:
    """The settings of the file and the environment. Raises SettingsError with all errors at once."""
    file = find_settings_file(path, environ, search=search)
    text = _read(file) if file else ""
    values = _parse(text, file)
    overrides = _overrides(environ)
    for section, keys in overrides.items():
        table = values.setdefault(section, {})
        if isinstance(table, dict):
            table.update(keys)
    describer = Describer(text, file, overrides)
    origins = _origins(values, overrides, describer)
    _fill_in_places(values, environ, of_system=file == search[0])
    errors = unknown_variables(environ, {*_variables(), FILE_VARIABLE})
    try:
        settings = Settings(**values)
    except ValidationError as invalid:
        errors += [describer.sentence(detail) for detail in invalid.errors(include_url=False)]
        raise _error(errors) from None  # pydantic's own text shows the values, a password among them
    if errors:
        raise _error(errors)
    return settings.with_origins(origins)


def find_settings_file(
    path: Path | None, environ: Mapping[str, str], *, search: Sequence[Path] = SEARCH
) -> Path | None:
    """The file that the caller or CONTACTSYNC_SETTINGS names, else the first of `search` that exists."""
    if path is not None:
        return path
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    found = next((candidate for candidate in search if _exists(candidate)), None)
    if found and not found.is_absolute():
        _refuse_foreign(found)
    return found


def _exists(file: Path) -> bool:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # It exists but is not accessible. To ignore it would mean other settings, and another database; reading it
        # fails.
        return True
    return True


def _refuse_foreign(file: Path) -> None:
    """Raise SettingsError for a file of the current directory that another user may have written."""
    places = (file.absolute(), file.absolute().parent)
    try:
        found = [status for place in places for status in (place.lstat(), place.stat())]
    except OSError:
        return  # reading it fails with the reason
    hint = f"Name it with --settings or {FILE_VARIABLE}, or work in another directory."
    # The mode of a symbolic link has no meaning.
    if any(status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode) for status in found):
        raise SettingsError(f"{places[0]} is not used because every user may change it or its directory.", hint=hint)
    others = {status.st_uid for status in found} - {0, os.geteuid()}
    if others:
        raise SettingsError(
            f"{places[0]} is not used because it or its directory belongs to {_user_name(min(others))}, not to you.",
            hint=hint,
        )


def _user_name(user: int) -> str:
    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:  # a container's user without an account
        return f"the user with the id {user}"


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        raise SettingsError(f"There is no settings file {file}.", hint="Check the path.") from None
    except IsADirectoryError:
        raise SettingsError(f"{file} is a directory, not a settings file.", hint="Name the file in it.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not text in UTF-8.", hint="Save it in that encoding.") from None
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror}.", hint="Check its owner and permissions."
        ) from None


def _parse(text: str, file: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", hint=_HINT) from None


@cache
def _variables() -> dict[str, tuple[str, str]]:
    """The section and the key of each environment variable."""
    sections = Settings().model_dump().items()
    return {f"{PREFIX}{section}{DELIMITER}{key}".upper(): (section, key) for section, keys in sections for key in keys}


def _overrides(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    overrides: dict[str, dict[str, str]] = {}
    for name, (section, key) in _variables().items():
        if name in environ:
            overrides.setdefault(section, {})[key] = environ[name]
    return overrides


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
        f"{section}.{key}": Origin("environment", f"{PREFIX}{section}{DELIMITER}{key}".upper())
        if key in overrides.get(section, ())
        else Origin("file", describer.where([section, key]))
        for section, key in given
    }


def _fill_in_places(values: dict[str, Any], environ: Mapping[str, str], *, of_system: bool) -> None:
    """Set the paths that are not set; they depend on the user and on systemd."""
    state, secrets, control = (values.setdefault(section, {}) for section in ("state", "secrets", "control"))
    if not (isinstance(state, dict) and isinstance(secrets, dict) and isinstance(control, dict)):
        return
    state["directory"] = state.get("directory") or _default_state_directory(environ, of_system=of_system)
    if not secrets.get("key_file"):
        secrets["key_file"] = _default_key_file(state["directory"], environ)
    if not control.get("socket"):
        control["socket"] = _default_socket(state["directory"], environ)


def _default_state_directory(environ: Mapping[str, str], *, of_system: bool) -> Path:
    """Systemd's StateDirectory=, else /var/lib for root and the system user, else the XDG state directory.

    With the system's settings file it is /var/lib for every user, so that `status` shows the system's folders.
    """
    given = Path(environ.get("STATE_DIRECTORY", "").partition(":")[0])
    if given.is_absolute():
        return given
    user = os.geteuid()
    try:
        entry = pwd.getpwuid(user)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a container's user without an account
        name, home = "", "/"
    if of_system or user == 0 or name == SYSTEM_USER:
        return SYSTEM_STATE
    xdg = Path(environ.get("XDG_STATE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path(environ.get("HOME") or home, ".local", "state")) / "contactsync"


def _default_key_file(state_directory: object, environ: Mapping[str, str]) -> Path:
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", ""), KEY_FILE_NAME)
    if credential.is_absolute() and _exists(credential):
        return credential
    return _in_state_directory(state_directory, KEY_FILE_NAME)


def _default_socket(state_directory: object, environ: Mapping[str, str]) -> Path:
    """In systemd's RuntimeDirectory=; commands of the same installation find it without systemd's environment."""
    given = Path(environ.get("RUNTIME_DIRECTORY", "").partition(":")[0])
    if given.is_absolute():
        return given / SOCKET_NAME
    if Path(str(state_directory)) == SYSTEM_STATE and SYSTEM_RUNTIME.is_dir():
        return SYSTEM_RUNTIME / SOCKET_NAME
    return _in_state_directory(state_directory, SOCKET_NAME)


def _in_state_directory(state_directory: object, name: str) -> Path:
    path = Path(str(state_directory)).expanduser() / name
    # A relative state directory is refused; it is reported once, and not for each file in it.
    return path if path.is_absolute() else SYSTEM_STATE / name


def _error(errors: list[str]) -> SettingsError:
    if len(errors) == 1:
        return SettingsError(errors[0], hint=_HINT)
    lines = "".join(f"\n- {error}" for error in errors)
    return SettingsError(f"There are {len(errors)} problems with the settings:{lines}", hint=_HINT, problems=errors)
