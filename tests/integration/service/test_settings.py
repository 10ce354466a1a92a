"""Settings from settings.toml and the environment, and the errors of those that are not valid."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contactsync.bootstrap import allowed_references
from contactsync.errors import SettingsError
from contactsync.settings.file import find_control_socket, find_settings_file
from contactsync.settings.in_force import settings_in_force
from contactsync.settings.loader import load_settings
from contactsync.settings.reload import with_live
from contactsync.settings.schema import Settings
from tests.support.resources import as_nobody

DOCUMENTED = Path(__file__).parents[3] / "settings.toml"
ENVIRON: Mapping[str, str] = {"STATE_DIRECTORY": "/srv/state"}


def load(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    """Load this text as the settings file, with this environment."""
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, {**ENVIRON, **environ})


def refusal(tmp_path: Path, text: str = "", **environ: str) -> str:
    """The error about this text or environment."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, **environ)
    return caught.value.message


def uncommented() -> str:
    """The documented file without the # before each setting."""
    return re.sub(r"^#(?=\w+ = )", "", DOCUMENTED.read_text(encoding="utf-8"), flags=re.MULTILINE)


def documented_keys() -> list[str]:
    """The settings in the order of the file."""
    keys, section = [], ""
    for line in uncommented().splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif key := re.match(r"(\w+) = ", line):
            keys.append(f"{section}.{key[1]}")
    return keys


def flat(settings: Settings) -> dict[str, Any]:
    """Every setting by its full name."""
    return {f"{section}.{key}": value for section, keys in settings.model_dump().items() for key, value in keys.items()}


def test_the_documented_file_holds_every_setting_in_order() -> None:
    """And no others."""
    assert documented_keys() == list(flat(Settings()))


def test_the_documented_values_are_the_defaults(tmp_path: Path) -> None:
    """Without its # no setting changes."""
    assert flat(load(tmp_path, uncommented())) == flat(load(tmp_path, ""))


def test_the_documented_file_sets_nothing(tmp_path: Path) -> None:
    """So that a new version can change a default."""
    assert flat(load_settings(DOCUMENTED, ENVIRON)) == flat(load(tmp_path, ""))
    assert not [line for line in DOCUMENTED.read_text(encoding="utf-8").splitlines() if re.match(r"[^#\[\s]", line)]


def test_documented_bounds_are_the_real_ones(tmp_path: Path) -> None:
    """The error about a number has the bounds in the documentation."""
    sections = re.split(r"^(#\w+ = .*)$", DOCUMENTED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    prose = dict(zip(documented_keys(), sections[::2], strict=False))
    numbers = [key for key, value in flat(Settings()).items() if type(value) in {int, float}]
    assert len(numbers) > 20
    for key in numbers:
        section, name = key.split(".")
        bounds = re.search(r"from (\S+) to (\d+)\.$", refusal(tmp_path, f"[{section}]\n{name} = -1\n"))
        assert bounds
        # Zero often has a meaning of its own: the text has a range from 1, and explains 0 after it.
        low = bounds[1].removesuffix(".0")
        assert re.search(rf"\(({low}|1) to {bounds[2]}[;)]", prose[key].replace("\n# ", " ")), key


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    """And the file overrides the default."""
    settings = load(tmp_path, "[scheduler]\nworkers = 3\nper_server = 2\n", CONTACTSYNC_SCHEDULER__WORKERS="5")
    assert (settings.scheduler.workers, settings.scheduler.per_server) == (5, 2)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("CONTACTSYNC_GUARD__DELETE_SHARE", "0.5", "guard.delete_share", 0.5),
        ("CONTACTSYNC_LOG__FORMAT", "json", "log.format", "json"),
        ("CONTACTSYNC_STATE__DIRECTORY", "/srv/other", "state.directory", Path("/srv/other")),
    ],
)
def test_variables_are_read_as_the_type_of_their_setting(
    tmp_path: Path, variable: str, text: str, key: str, value: object
) -> None:
    """A number, a choice or a path."""
    assert flat(load(tmp_path, **{variable: text}))[key] == value


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    """They are immutable, so that none changes during a run."""
    with pytest.raises(ValidationError):
        load(tmp_path).scheduler.workers = 1  # type: ignore[misc]


def test_the_environment_of_the_process_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the one that is passed."""
    monkeypatch.setenv("CONTACTSYNC_SCHEDULER__WORKERS", "5")
    assert load(tmp_path).scheduler.workers == 8


WORKERS = "must be a whole number from 1 to 256"
DIRECTORIES = 'must be servers with spaces between them, like "ldaps://dc1.example.com" or "dc=example,dc=com"'
NAME_SERVERS = 'must be IP addresses with spaces between them, like "192.0.2.53 [2001:db8::53]:5353"'


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ('[log]\n\n[scheduler]\nworkers = "many"\n', 4, f'scheduler.workers is "many" but {WORKERS}.'),
        ("[scheduler]\nworkers = true\n", 2, f"scheduler.workers is true but {WORKERS}."),
        ("scheduler.workers = 2.5\n", 1, f"scheduler.workers is 2.5 but {WORKERS}."),
        *(
            (f'[directory]\ndns_servers = "{wrong}"\n', 2, f'directory.dns_servers is "{wrong}" but {NAME_SERVERS}.')
            for wrong in ("ns1.example.com", "192.0.2.53:0", "[192.0.2.53", "192.0.2.53,192.0.2.54", "192.0.2.53:99999")
        ),
        *(
            (f'[web]\ndirectories = "{wrong}"\n', 2, f'web.directories is "{wrong}" but {DIRECTORIES}.')
            for wrong in ("dc1.example.com", "ldaps://-", "ldaps://a..b", "ldaps://192.0.2", "ldap://a:0", "dc=a,dc=1")
        ),
        ("[guard]\ndelete_share = nan\n", 2, "guard.delete_share is nan but must be a number from 0 to 1."),
        (
            "[directory]\npage_size = [1]\n",
            2,
            "directory.page_size is a list but must be a whole number from 0 to 100000.",
        ),
        ('[log]\nformat = "xml"\n', 2, 'log.format is "xml" but must be one of "auto", "json", "console", "journal".'),
        ('[state]\ndirectory = "here"\n', 2, 'state.directory is "here" but must be an absolute path in quotes.'),
        ("[scheduler]\nwrokers = 3\n", 2, "there is no setting scheduler.wrokers; did you mean scheduler.workers?"),
        ("[guard]\ntext_bytes = 100\n", 2, "there is no setting guard.text_bytes; did you mean mapping.text_bytes?"),
        ("wrkers = 3\n", 1, "there is no setting wrkers; did you mean scheduler.workers?"),
        ("[log]\nzzz = 3\n", 2, "there is no setting log.zzz."),
        ("[shceduler]\nworkers = 3\n", 1, "there is no section [shceduler]; did you mean [scheduler]?"),
        ("log = 3\n", 1, "log must be a table that starts with a line [log]."),
        (
            "[directory]\nretry_base_seconds = 40\n",
            1,
            "directory.retry_base_seconds (40) is more than directory.retry_max_seconds (30).",
        ),
    ],
)
def test_the_error_about_a_line_of_the_file(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    """It has the line, the key, the value and what is allowed."""
    assert refusal(tmp_path, text) == f"{tmp_path}/settings.toml, line {line}: {sentence}"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("CONTACTSYNC_SCHEDULER__WORKERS", "many", f'scheduler.workers is "many" but {WORKERS}.'),
        (
            "CONTACTSYNC_SCHEDULER__WORKRES",
            "3",
            "there is no such setting; did you mean CONTACTSYNC_SCHEDULER__WORKERS?",
        ),
        ("CONTACTSYNC_DATABASE_URL", "x", "there is no such setting; did you mean CONTACTSYNC_DATABASE__URL?"),
        ("CONTACTSYNC_SETTING", "x", "there is no such setting; did you mean CONTACTSYNC_SETTINGS?"),
        ("CONTACTSYNC_ZZZ__ZZZ", "3", "there is no such setting."),
    ],
)
def test_the_error_about_a_variable(tmp_path: Path, variable: str, value: str, sentence: str) -> None:
    """With a similar name, if there is one."""
    assert refusal(tmp_path, **{variable: value}) == f"Environment variable {variable}: {sentence}"


def test_other_variables_with_the_prefix_are_ignored(tmp_path: Path) -> None:
    """One without a similar setting may contain a password that a definition refers to."""
    assert load(tmp_path, CONTACTSYNC_BIND_PASSWORD="x") == load(tmp_path)


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    """Those of the file and of the environment, one line each."""
    text = '[scheduler]\nworkers = 0\n[log]\nlevel = "loud"\nfoo = 1\n'
    message = refusal(tmp_path, text, CONTACTSYNC_GUARD__DELETE_COUNT="x", CONTACTSYNC_DATABASE_URL="x")
    lines = message.splitlines()
    assert lines[0] == "There are 5 problems with the settings:"
    assert len(lines) == 6
    for part in ("scheduler.workers", "log.level", "log.foo", "GUARD__DELETE_COUNT", "CONTACTSYNC_DATABASE_URL"):
        assert sum(part in line for line in lines) == 1


@pytest.mark.parametrize(
    "text",
    [
        '[database]\nurl = "postgresql://u:sekret@h/db?bogus=1"\n',
        '[database]\nurl = ["sekret"]\n',
        '[database]\nulr = "sekret"\n',
        'database = "sekret"\n',
        '[secrets]\n"password" = "sekret"\n',
    ],
)
def test_a_password_is_never_shown(tmp_path: Path, text: str) -> None:
    """Neither in the message, nor in the traceback, nor in the repr of the settings."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert "sekret" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "sekret" not in repr(load(tmp_path, '[database]\nurl = "postgresql://u:sekret@h/db"\n'))


def test_a_wrong_connection_string_says_what_is_expected(tmp_path: Path) -> None:
    """The error has the valid forms."""
    message = refusal(tmp_path, CONTACTSYNC_DATABASE__URL="mysql://h/db")
    assert message.startswith("Environment variable CONTACTSYNC_DATABASE__URL: database.url must be a PostgreSQL URL")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.toml", "There is no settings file {}."),
        ("folder", "{} is a directory, not a settings file."),
        ("latin1.toml", "{} is not text in UTF-8."),
        ("loop.toml", "{} cannot be read: Too many levels of symbolic links."),
        ("broken.toml", "{} is not valid TOML: Invalid value (at line 2, column 9)."),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    """The error is one sentence."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin1.toml").write_bytes(b"# \xe9\n")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "broken.toml").write_text("[log]\nlevel = \n")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / name, {})
    assert caught.value.message == sentence.format(tmp_path / name)


def test_the_file_is_searched_in_a_fixed_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's file, the environment's, the system's, the one in the directory."""
    monkeypatch.chdir(tmp_path)
    system, here = tmp_path / "etc.toml", Path("settings.toml")
    assert find_settings_file(None, {}, search=(system, here)) is None
    here.touch()
    assert find_settings_file(None, {}, search=(system, here)) == here
    system.touch()
    assert find_settings_file(None, {}, search=(system, here)) == system
    named = {"CONTACTSYNC_SETTINGS": "/named.toml"}
    assert find_settings_file(None, named, search=(system, here)) == Path("/named.toml")
    assert find_settings_file(Path("/option.toml"), named, search=(system, here)) == Path("/option.toml")


def test_a_file_that_anyone_could_have_put_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory like /tmp the file is an error."""
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").touch()
    tmp_path.chmod(0o1777)
    with pytest.raises(SettingsError, match="every user may change it"):
        load_settings(None, {}, search=(Path("settings.toml"),))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("foreign", ["settings.toml", "."])
def test_a_file_of_another_user_is_refused(foreign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise that user would choose the database and the key of a command that root starts there."""
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").touch()
    load_settings(None, {}, search=(Path("settings.toml"),))
    os.chown(foreign, 65534, 65534)
    with pytest.raises(SettingsError, match=r"belongs to the user nobody, not to you\.") as caught:
        load_settings(None, {}, search=(Path("settings.toml"),))
    assert "--settings" in caught.value.hint
    load_settings(Path("settings.toml"), {})


def test_an_unreadable_system_file_is_an_error(tmp_path: Path) -> None:
    """Without it, another database would be used."""
    (tmp_path / "etc.toml").symlink_to("etc.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(None, {}, search=(tmp_path / "etc.toml",))


def test_the_state_directory_of_systemd_comes_first(tmp_path: Path) -> None:
    """The first of several; it contains the key too."""
    settings = load(tmp_path, STATE_DIRECTORY="/srv/one:/srv/two")
    assert (settings.state.directory, settings.secrets.key_file) == (Path("/srv/one"), Path("/srv/one/secret.key"))


def test_the_state_directory_depends_on_the_user(tmp_path: Path) -> None:
    """Without systemd it is /var/lib for root, and below the XDG state directory for other users."""
    settings = load(tmp_path, STATE_DIRECTORY="", XDG_STATE_HOME="/home/anna/state")
    expected = "/var/lib/contactsync" if os.geteuid() == 0 else "/home/anna/state/contactsync"
    assert settings.state.directory == Path(expected)


def test_the_key_is_in_the_state_directory(tmp_path: Path) -> None:
    """Unless the file sets a path of its own for the key."""
    assert load(tmp_path, '[state]\ndirectory = "/srv/x"\n').secrets.key_file == Path("/srv/x/secret.key")
    text = '[state]\ndirectory = "/srv/x"\n[secrets]\nkey_file = "/srv/k"\n'
    assert load(tmp_path, text).secrets.key_file == Path("/srv/k")


def test_a_key_among_systemds_credentials_is_used(tmp_path: Path) -> None:
    """If it exists."""
    assert load(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)).secrets.key_file == Path("/srv/state/secret.key")
    (tmp_path / "secret.key").touch()
    assert load(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)).secrets.key_file == tmp_path / "secret.key"


def test_the_database_is_named_by_a_file(tmp_path: Path) -> None:
    """By url_file, or by a credential without one; the URL in the settings comes before that."""
    own, credential = tmp_path / "own", tmp_path / "database-url"
    own.write_text("host=own\n", encoding="utf-8")
    setting = f'[database]\nurl_file = "{own}"\n'
    directory = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(tmp_path, **directory).database.url.get_secret_value() == ""
    credential.write_text("host=db", encoding="utf-8")
    settings = load(tmp_path, **directory)
    assert settings.database.url.get_secret_value() == "host=db"
    assert settings.origin("database.url").where == str(credential)
    assert load(tmp_path, setting, **directory).database.url.get_secret_value() == "host=own"
    assert load(tmp_path, '[database]\nurl = "host=x"', **directory).database.url.get_secret_value() == "host=x"
    assert settings.database.url_file in map(str, allowed_references(settings).never)


def test_a_file_without_a_url_is_refused(tmp_path: Path) -> None:
    """A missing one, an empty one, one with something else, and one beside a URL; its content is not shown."""
    own = tmp_path / "own"
    setting = f'[database]\nurl_file = "{own}"\n'
    assert refusal(tmp_path, setting).endswith("cannot be read: No such file or directory.")
    own.write_text("\n", encoding="utf-8")
    assert refusal(tmp_path, setting) == f"{own}, which database.url_file names, is empty."
    own.write_text("SECRET", encoding="utf-8")
    assert "SECRET" not in refusal(tmp_path, setting)
    assert "remove one of them" in refusal(tmp_path, f'{setting}url = "host=x"')
    assert "must be an absolute path" in refusal(tmp_path, '[database]\nurl_file = "own"')


def test_each_setting_in_force_says_where_it_comes_from_and_shows_no_secret(tmp_path: Path) -> None:
    """After a reload too: a value that needs a restart keeps its origin."""
    text = (
        '[database]\nurl = "postgresql://me:SECRET@db/x"\n[scheduler]\nworkers = 3\n[guard]\n[state]\ndirectory = ""\n'
    )
    before = load(tmp_path, text, CONTACTSYNC_LOG__LEVEL="debug")
    shown = {setting.name: setting for setting in settings_in_force(before)}
    file = tmp_path / "settings.toml"
    assert list(shown) == documented_keys()
    origins = {name: (each.source, each.where) for name, each in shown.items() if each.source != "default"}
    assert origins == {
        "database.url": ("file", f"{file}, line 2"),
        "scheduler.workers": ("file", f"{file}, line 4"),
        "log.level": ("environment", "CONTACTSYNC_LOG__LEVEL"),
    }
    assert (shown["database.url"].value, shown["database.url"].default) == ("set", "not set")
    assert "SECRET" not in str(shown)
    assert (shown["scheduler.workers"].value, shown["scheduler.workers"].default) == (3, 8)
    assert (shown["state.directory"].value, shown["state.directory"].default) == ("/srv/state", None)

    after = with_live(before, load(tmp_path, "[guard]\nalways_allow = 6\n"))
    again = {setting.name: (setting.source, setting.value) for setting in settings_in_force(after)}
    assert again["guard.always_allow"] == ("file", 6)
    assert again["log.level"] == ("default", "info")
    assert again["scheduler.workers"] == ("file", 3)


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("", {}),
        ('[control]\nsocket = "/srv/in-file.sock"', {}),
        ('[control]\nsocket = "/srv/in-file.sock"', {"CONTACTSYNC_CONTROL__SOCKET": "/srv/in-environment.sock"}),
        ('[state]\ndirectory = "/srv/state"', {}),
        ('[state]\ndirectory = "/srv/state"', {"CONTACTSYNC_STATE__DIRECTORY": "/srv/other"}),
        ('[state]\ndirectory = "~/state"', {"RUNTIME_DIRECTORY": "/run/one:/run/two"}),
        ("", {"STATE_DIRECTORY": "/srv/systemd"}),
        ("", {"XDG_STATE_HOME": "/home/anna/state"}),
    ],
)
def test_the_control_socket_is_found_without_the_other_settings(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    """As all settings have it: a command asks the daemon that the settings mean."""
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert find_control_socket(file, environ) == load_settings(file, environ).control.socket


@pytest.mark.parametrize("text", ["control = 1", "[control]\nsocket = 1", '[control]\nsocket = "control.sock"'])
def test_a_control_socket_that_is_not_valid_is_left_to_the_loader(tmp_path: Path, text: str) -> None:
    """Its error names the line and what is allowed."""
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert find_control_socket(file, {}) is None
    with pytest.raises(SettingsError, match="control"):
        load_settings(file, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_not_read_the_systems_file_finds_the_socket_of_an_installation(short_path: Path) -> None:
    """The file may hold the database's password. A file that the user names must be readable."""
    file = short_path / "settings.toml"
    file.write_text('[control]\nsocket = "/srv/control.sock"')
    file.chmod(0o600)
    short_path.chmod(0o711)

    def find() -> None:
        environ = {"RUNTIME_DIRECTORY": "/run/contactsync"}
        assert find_control_socket(None, environ, search=(file,)) == Path("/run/contactsync/control.sock")
        with pytest.raises(SettingsError, match="cannot be read"):
            find_control_socket(file, environ)

    assert as_nobody(find) == 0
