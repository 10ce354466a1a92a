"""Find the settings file, read it, lay the environment over it, and check the whole."""

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
from pydantic_settings import EnvSettingsSource

from contactsync.errors import SettingsError
from contactsync.settings.messages import Describer, describe_unknown_variable
from contactsync.settings.schema import (
    DELIMITER,
    KEY_FILE_NAME,
    PREFIX,
    SOCKET_NAME,
    SYSTEM_RUNTIME,
    SYSTEM_STATE,
    Settings,
)

FILE_VARIABLE = f"{PREFIX}SETTINGS"

# The system's file comes first: on a machine that has one, every command sees the same settings in any directory.
# Without it, a checkout's own file holds while one works there.
SEARCH = (Path("/etc/contactsync/settings.toml"), Path("settings.toml"))

SYSTEM_USER = "contactsync"

_HINT = "Every setting is described in the settings.toml that comes with contactsync."


def load_settings(path: Path | None, environ: Mapping[str, str], *, search: Sequence[Path] = SEARCH) -> Settings:
    """Read, merge and check the settings; raise SettingsError with every problem at once."""
    file = find_settings_file(path, environ, search=search)
    text = _read(file) if file else ""
    values = _parse(text, file)
    overrides = _from_environment(environ)
    for section, overriding in overrides.items():
        table = values.setdefault(section, {})
        if isinstance(table, dict):
            table.update(overriding)
    _fill_in_places(values, environ, of_system=file == search[0])
    problems = [problem for name in sorted(environ) if (problem := _unknown_variable(name))]
    try:
        settings = Settings(**values)
    except ValidationError as error:
        describer = Describer(text, file, overrides)
        problems += [describer.sentence(detail) for detail in error.errors(include_url=False)]
        raise _error(problems) from None  # pydantic's own text shows the values, a password among them
    if problems:
        raise _error(problems)
    return settings


def find_settings_file(
    path: Path | None, environ: Mapping[str, str], *, search: Sequence[Path] = SEARCH
) -> Path | None:
    """The file that is named by the caller or by CONTACTSYNC_SETTINGS, else the first of `search` that exists."""
    if path is not None:
        return path
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    found = next((candidate for candidate in search if _is_there(candidate)), None)
    if found and not found.is_absolute():
        _refuse_anyones(found)
    return found


def _is_there(file: Path) -> bool:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # There, but not for us: reading it will say so, where passing over it would mean other settings than the
        # system's, and with them another database.
        return True
    return True


def _refuse_anyones(file: Path) -> None:
    """Refuse a file that is picked up from a directory like /tmp, where any user may have put it."""
    if (file.stat().st_mode | file.absolute().parent.stat().st_mode) & stat.S_IWOTH:
        raise SettingsError(
            f"{file.absolute()} is not read because every user may change it or its directory.",
            hint=f"Name it (--settings or {FILE_VARIABLE}) if it is meant, or work in another directory.",
        )


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


def _from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items() if name in _variables()}
    return source()


@cache
def _variables() -> frozenset[str]:
    sections = Settings().model_dump().items()
    return frozenset(f"{PREFIX}{section}{DELIMITER}{key}".upper() for section, table in sections for key in table)


def _unknown_variable(name: str) -> str | None:
    if not name.startswith(PREFIX) or name == FILE_VARIABLE or name in _variables():
        return None
    return describe_unknown_variable(name, {*_variables(), FILE_VARIABLE})


def _fill_in_places(values: dict[str, Any], environ: Mapping[str, str], *, of_system: bool) -> None:
    """Put in the places that depend on who runs this where the settings leave them open or empty."""
    state, secrets, control = (values.setdefault(section, {}) for section in ("state", "secrets", "control"))
    if not (isinstance(state, dict) and isinstance(secrets, dict) and isinstance(control, dict)):
        return
    state["directory"] = state.get("directory") or default_state_directory(environ, of_system=of_system)
    if not secrets.get("key_file"):
        secrets["key_file"] = _default_key_file(state["directory"], environ)
    if not control.get("socket"):
        control["socket"] = _default_socket(state["directory"], environ)


def default_state_directory(environ: Mapping[str, str], *, of_system: bool = False) -> Path:
    """What systemd's StateDirectory= gave, else /var/lib for root and the system user, else the XDG state directory.

    With the system's settings file it is /var/lib for everyone: who asks how the folders do means the system's, and
    not new ones at home.
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
    if credential.is_absolute() and _is_there(credential):
        return credential
    return _beside(state_directory, KEY_FILE_NAME)


def _default_socket(state_directory: object, environ: Mapping[str, str]) -> Path:
    """Where systemd's RuntimeDirectory= is, which the commands of the same installation find without systemd's word."""
    given = Path(environ.get("RUNTIME_DIRECTORY", "").partition(":")[0])
    if given.is_absolute():
        return given / SOCKET_NAME
    if Path(str(state_directory)) == SYSTEM_STATE and SYSTEM_RUNTIME.is_dir():
        return SYSTEM_RUNTIME / SOCKET_NAME
    return _beside(state_directory, SOCKET_NAME)


def _beside(state_directory: object, name: str) -> Path:
    path = Path(str(state_directory)).expanduser() / name
    # A state directory that is refused for being relative is reported once, not also for what would be in it.
    return path if path.is_absolute() else SYSTEM_STATE / name


def _error(problems: list[str]) -> SettingsError:
    if len(problems) == 1:
        return SettingsError(problems[0], hint=_HINT)
    lines = "".join(f"\n- {problem}" for problem in problems)
    return SettingsError(f"There are {len(problems)} problems with the settings:{lines}", hint=_HINT)
