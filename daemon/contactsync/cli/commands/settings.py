"""`contactsync settings`, `contactsync settings check` and `contactsync settings show`."""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING, Any

from contactsync.cli.errors import ExitCode, show_error
from contactsync.cli.output.text import show_json, show_pairs, show_text
from contactsync.errors import SettingsError
from contactsync.settings.file import find_settings_file
from contactsync.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from contactsync.cli.context import Invocation


def print_documented(invocation: Invocation) -> None:
    """Print settings.toml of this release."""
    from contactsync.settings.documented import documented_settings

    invocation.out.out(documented_settings(), end="", highlight=False)


def check_settings(invocation: Invocation, file: Path | None, *, as_json: bool) -> int:
    """Print all mistakes of a settings file and of the environment; the exit code is that of SettingsError."""
    from contactsync.settings.loader import load_settings

    error, path, changed = None, file or invocation.settings_file, 0
    try:
        path = find_settings_file(path, os.environ)
        changed = len(load_settings(path, os.environ).origins)
    except SettingsError as caught:
        error = caught
    if as_json:
        problems = error.problems if error else ()
        show_json(
            invocation.out, {"file": str(path) if path else None, "valid": error is None, "problems": list(problems)}
        )
    elif error:
        show_error(error, invocation.err)
    else:
        show_text(invocation.out, f"{path or 'There is no settings.toml; the environment'} is valid.")
        show_text(invocation.out, f"{counted(changed, 'setting')} given; the others have their defaults.")
    return error.exit_code if error else ExitCode.DONE


def show_settings(invocation: Invocation, *, everything: bool, as_json: bool) -> None:
    """Print the settings of the daemon, or without one those of this process. Raises SettingsError, ControlError."""
    with invocation.api() as api:
        settings, daemon_running = api.get("/v1/settings"), api.is_daemon
    if as_json:
        show_json(invocation.out, {"daemon_running": daemon_running, "settings": settings})
        return
    of = "the running daemon" if daemon_running else "a daemon that would start here; none is running"
    show_text(invocation.out, f"The settings of {of}:")
    given = [each for each in settings if everything or each["source"] != "default"]
    for section, members in groupby(given, lambda each: each["name"].partition(".")[0]):
        invocation.out.print(f"\n[{section}]")
        show_pairs(invocation.out, {each["name"].partition(".")[2]: _shown(each) for each in members})
    if left := len(settings) - len(given):
        invocation.out.print()
        show_text(invocation.out, f"{counted(left, 'setting has', 'settings have')} the default; --all shows them.")


def _shown(setting: dict[str, Any]) -> str:
    value = setting["value"]
    shown = {"": "(blank)", True: "true", False: "false"}.get(value) if isinstance(value, str | bool) else None
    return f"{shown or value} ({setting['where'] or setting['source']})"
