"""`contactsync settings`: the commented file, its check, and the settings in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import CommandLine, assert_refused, width

PASSWORD = "geheim-4711"
WRONG = f"""
[database]
url = "postgresql://reader:{PASSWORD}@db/contacts?sslmode=yes&no_such=1"
[scheduler]
workers = 0
[log]
levle = "info"
"""


@pytest.fixture
def here(tmp_path: Path) -> CommandLine:
    """Give the command line of no database, with settings.toml in the directory of the test."""
    cli = CommandLine(f"postgresql://contactsync:{PASSWORD}@db.invalid/contacts", tmp_path)
    cli.environ["CONTACTSYNC_SETTINGS"] = str(tmp_path / "settings.toml")
    return cli


def test_the_file_is_printed_and_is_valid(here: CommandLine, tmp_path: Path) -> None:
    """What a user redirects to a file sets nothing, and is the file of the release."""
    printed = here.ok("settings")
    assert printed == (Path(__file__).parents[2] / "settings.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text(printed, encoding="utf-8")
    assert f"{tmp_path}/settings.toml is valid." in here.ok("settings", "check")
    assert here("settings", CONTACTSYNC_SCHEDULER__WORKERS="no").returncode == 0


def test_all_mistakes_are_listed_at_once(here: CommandLine, tmp_path: Path) -> None:
    """Each with file, line and what is allowed; a value that may be a password is not shown."""
    file = tmp_path / "wrong.toml"
    file.write_text(WRONG, encoding="utf-8")
    del here.environ["CONTACTSYNC_DATABASE__URL"]
    words = ("3 problems", f"{file}, line 3: database.url", "line 5: scheduler.workers is 0", "from 1 to 256", "line 7")
    done = here("settings", "check", str(file))
    assert_refused(done, 78, *words, "did you mean log.level?", "`contactsync settings` prints every setting")
    listed = here("settings", "check", str(file), "--json")
    document = json.loads(listed.stdout)
    assert (listed.returncode, document["valid"], len(document["problems"])) == (78, False, 3)
    assert PASSWORD not in done.stderr + listed.stdout


@pytest.mark.parametrize(
    ("text", "words"), [("workers = = 3", "is not valid TOML"), (None, "There is no settings file"), (b"\xff", "UTF-8")]
)
def test_a_file_that_cannot_be_used_is_named(
    here: CommandLine, tmp_path: Path, text: str | bytes | None, words: str
) -> None:
    """With its path and the reason."""
    file = tmp_path / "other.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert_refused(here("settings", "check", str(file)), 78, words, str(file))


def test_the_settings_in_force_are_those_of_the_daemon(
    database: str, make_daemon: Callable[..., Any], here: CommandLine, tmp_path: Path
) -> None:
    """Without a daemon they are those of the command; each names its origin, and no secret is shown."""
    (tmp_path / "settings.toml").write_text("[scheduler]\nworkers = 3\n", encoding="utf-8")
    shown = here.ok("settings", "show")
    assert f"workers  3 ({tmp_path}/settings.toml, line 2)" in shown
    assert "url  set (CONTACTSYNC_DATABASE__URL)" in shown
    assert PASSWORD not in shown + here.ok("settings", "show", "--all") + here.ok("settings", "show", "--json")
    exit_code, terminal = here.in_terminal("settings", "show", "--all")
    assert (exit_code, width(terminal) <= 80) == (0, True)
    daemon = make_daemon(database, CONTACTSYNC_SCHEDULER__WORKERS="5")
    daemon.start()
    here.environ["CONTACTSYNC_CONTROL__SOCKET"] = f"{daemon.state}/control.sock"
    document = here.json("settings", "show")
    (workers,) = (each for each in document["settings"] if each["name"] == "scheduler.workers")
    assert (document["daemon_running"], workers["value"]) == (True, 5)
    assert "The settings of the running daemon" in here.ok("settings", "show")
