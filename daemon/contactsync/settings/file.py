"""The settings file and the paths that are not set: found and read without validation, so that it is quick."""

from __future__ import annotations

import os
import pwd
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contactsync.errors import SettingsError

PREFIX = "CONTACTSYNC_"
DELIMITER = "__"
FILE_VARIABLE = f"{PREFIX}SETTINGS"
SYSTEM_STATE = Path("/var/lib/contactsync")
SYSTEM_RUNTIME = Path("/run/contactsync")
KEY_FILE_NAME = "secret.key"
URL_FILE_NAME = "database-url"
SOCKET_NAME = "control.sock"
WEB_SOCKET_NAME = "web.sock"

# The system's file comes first: on a machine that has one, every command has the same settings in any directory.
# Without it, the file in the current directory applies.
SEARCH = (Path("/etc/contactsync/settings.toml"), Path("settings.toml"))

SYSTEM_USER = "contactsync"

HINT = "`contactsync settings` prints every setting with its meaning and its default."


class SettingsForbidden(SettingsError):
    """The user may not read the settings file."""


def find_control_socket(
    path: Path | None, environ: Mapping[str, str], *, search: Sequence[Path] = SEARCH
) -> Path | None:
    """The path of the control socket. Other settings are not validated: the daemon that listens there has done that.

    None if the path itself is not valid. A user who may not read the system's file gets the path of an installation.
    Raises SettingsError.
    """
    file = find_settings_file(path, environ, search=search)
    of_system = file == search[0]
    try:
        values = parse(read_text(file), file) if file else {}
    except SettingsForbidden:
        if not of_system:
            raise
        values = {}
    override(values, environ, _SOCKET_VARIABLES)
    fill_in_places(values, environ, of_system=of_system)
    control = values["control"]
    found = control.get("socket") if isinstance(control, dict) else None
    socket = Path(found).expanduser() if isinstance(found, str | Path) else Path()
    return socket if socket.is_absolute() else None


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


def read_text(file: Path) -> str:
    """The text of the settings file. Raises SettingsError."""
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        raise SettingsError(f"There is no settings file {file}.", hint="Check the path.") from None
    except IsADirectoryError:
        raise SettingsError(f"{file} is a directory, not a settings file.", hint="Name the file in it.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not text in UTF-8.", hint="Save it in that encoding.") from None
    except OSError as error:
        kind = SettingsForbidden if isinstance(error, PermissionError) else SettingsError
        raise kind(f"{file} cannot be read: {error.strerror}.", hint="Check its owner and permissions.") from None


def parse(text: str, file: Path | None) -> dict[str, Any]:
    """The tables of the settings file. Raises SettingsError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", hint=HINT) from None


def override(
    values: dict[str, Any], environ: Mapping[str, str], variables: Mapping[str, tuple[str, str]]
) -> dict[str, dict[str, str]]:
    """Replace values by those of the environment; returns these. `variables` have sections and keys by their names."""
    overrides: dict[str, dict[str, str]] = {}
    for name, (section, key) in variables.items():
        if name in environ:
            overrides.setdefault(section, {})[key] = environ[name]
    for section, keys in overrides.items():
        table = values.setdefault(section, {})
        if isinstance(table, dict):
            table.update(keys)
    return overrides


def variable_of(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{section}{DELIMITER}{key}".upper()


_SOCKET_VARIABLES = {variable_of(*names): names for names in (("state", "directory"), ("control", "socket"))}


def fill_in_places(values: dict[str, Any], environ: Mapping[str, str], *, of_system: bool) -> None:
    """Set the paths that are not set; they depend on the user and on systemd."""
    tables = [values.setdefault(section, {}) for section in ("state", "secrets", "control", "web", "database")]
    if not all(isinstance(table, dict) for table in tables):
        return
    state, secrets, control, web, database = tables
    if not (database.get("url") or database.get("url_file")):
        database["url_file"] = str(_credential(URL_FILE_NAME, environ) or "")
    state["directory"] = state.get("directory") or _default_state_directory(environ, of_system=of_system)
    if not secrets.get("key_file"):
        secrets["key_file"] = _default_key_file(state["directory"], environ)
    if not control.get("socket"):
        control["socket"] = _default_socket(state["directory"], environ)
    if not web.get("socket"):
        web["socket"] = Path(str(control["socket"])).with_name(WEB_SOCKET_NAME)


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
    return _credential(KEY_FILE_NAME, environ) or _in_state_directory(state_directory, KEY_FILE_NAME)


def _credential(name: str, environ: Mapping[str, str]) -> Path | None:
    """A file in systemd's credentials directory, if it exists."""
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", ""), name)
    return credential if credential.is_absolute() and _exists(credential) else None


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
