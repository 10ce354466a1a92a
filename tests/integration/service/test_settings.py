"""Settings: what settings.toml and the environment give, and what is said when they are wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contactsync.errors import SettingsError
from contactsync.settings import Settings, find_settings_file, load_settings

DOCUMENTED = Path(__file__).parents[3] / "settings.toml"
NOBODY_ELSES: Mapping[str, str] = {"STATE_DIRECTORY": "/srv/state"}


def load(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    """Load this text as the settings file, with this environment."""
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, {**NOBODY_ELSES, **environ})


def refusal(tmp_path: Path, text: str = "", **environ: str) -> str:
    """What is said when this text or environment is refused."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, **environ)
    return caught.value.message


def uncommented() -> str:
    """The documented settings, each one set."""
    return re.sub(r"^#(?=\w+ = )", "", DOCUMENTED.read_text(encoding="utf-8"), flags=re.MULTILINE)


def documented_keys() -> list[str]:
    """The settings in the order in which the file has them."""
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
    """settings.toml lists exactly the settings of the code, section by section."""
    assert documented_keys() == list(flat(Settings()))


def test_the_documented_values_are_the_defaults(tmp_path: Path) -> None:
    """Taking every # away from settings.toml changes nothing."""
    assert load(tmp_path, uncommented()) == load(tmp_path, "")


def test_the_documented_file_as_it_is_changes_nothing(tmp_path: Path) -> None:
    """The file as delivered sets nothing at all, so that a default can change with a new version."""
    assert load_settings(DOCUMENTED, NOBODY_ELSES) == load(tmp_path, "")
    assert not [line for line in DOCUMENTED.read_text(encoding="utf-8").splitlines() if re.match(r"[^#\[\s]", line)]


def test_documented_bounds_are_the_real_ones(tmp_path: Path) -> None:
    """A number beyond its bound is refused with the bounds that the documentation names for it."""
    sections = re.split(r"^(#\w+ = .*)$", DOCUMENTED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    prose = dict(zip(documented_keys(), sections[::2], strict=False))
    numbers = [key for key, value in flat(Settings()).items() if isinstance(value, int | float) and value is not True]
    assert len(numbers) > 20
    for key in numbers:
        section, name = key.split(".")
        bounds = re.search(r"from (\S+) to (\d+)\.$", refusal(tmp_path, f"[{section}]\n{name} = -1\n"))
        assert bounds
        # Zero often has a meaning of its own, which the prose gives after the range that starts at 1.
        low = bounds[1].removesuffix(".0")
        assert re.search(rf"\(({low}|1) to {bounds[2]}[;)]", prose[key].replace("\n# ", " ")), key


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    """A variable wins over the file, and the file over the default."""
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
    """Text of the environment becomes a number, a truth, a choice or a path."""
    assert flat(load(tmp_path, **{variable: text}))[key] == value


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    """Settings are immutable, so that none changes while a run goes on."""
    with pytest.raises(ValidationError):
        load(tmp_path).scheduler.workers = 1  # type: ignore[misc]


def test_the_process_environment_is_not_read_behind_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the environment that is passed in counts."""
    monkeypatch.setenv("CONTACTSYNC_SCHEDULER__WORKERS", "5")
    assert load(tmp_path).scheduler.workers == 8


NAME_SERVERS = 'IP addresses with spaces between them, like "192.0.2.53 [2001:db8::53]:5353"'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[log]\n\n[scheduler]\nworkers = "many"\n',
            ', line 4: scheduler.workers is "many" but must be a whole number from 1 to 256.',
        ),
        (
            "[scheduler]\nworkers = true\n",
            ", line 2: scheduler.workers is true but must be a whole number from 1 to 256.",
        ),
        (
            "scheduler.workers = 2.5\n",
            ", line 1: scheduler.workers is 2.5 but must be a whole number from 1 to 256.",
        ),
        *(
            (
                f'[directory]\ndns_servers = "{wrong}"\n',
                f', line 2: directory.dns_servers is "{wrong}" but must be {NAME_SERVERS}.',
            )
            for wrong in ("ns1.example.com", "192.0.2.53:0", "[192.0.2.53", "192.0.2.53,192.0.2.54", "192.0.2.53:99999")
        ),
        ("[guard]\ndelete_share = nan\n", ", line 2: guard.delete_share is nan but must be a number from 0 to 1."),
        (
            "[directory]\npage_size = [1]\n",
            ", line 2: directory.page_size is a list but must be a whole number from 0 to 100000.",
        ),
        (
            '[log]\nformat = "xml"\n',
            ', line 2: log.format is "xml" but must be one of "auto", "json", "console", "journal".',
        ),
        (
            '[state]\ndirectory = "here"\n',
            ', line 2: state.directory is "here" but must be an absolute path in quotes.',
        ),
        (
            "[scheduler]\nwrokers = 3\n",
            ", line 2: there is no setting scheduler.wrokers; did you mean scheduler.workers?",
        ),
        (
            "[guard]\ntext_bytes = 100\n",
            ", line 2: there is no setting guard.text_bytes; did you mean mapping.text_bytes?",
        ),
        ("wrkers = 3\n", ", line 1: there is no setting wrkers; did you mean scheduler.workers?"),
        ("[log]\nzzz = 3\n", ", line 2: there is no setting log.zzz."),
        ("[shceduler]\nworkers = 3\n", ", line 1: there is no section [shceduler]; did you mean [scheduler]?"),
        ("log = 3\n", ", line 1: log must be a table, begun by a line [log]."),
        (
            "[directory]\nretry_base_seconds = 40\n",
            ", line 1: directory.retry_base_seconds (40) is more than directory.retry_max_seconds (30).",
        ),
        (
            "[log]\nlevel = \n",
            " is not valid TOML: Invalid value (at line 2, column 9).",
        ),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """A mistake in the file is told with its line, the key, what was given and what is allowed."""
    assert refusal(tmp_path, text) == f"{tmp_path}/settings.toml{sentence}"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "CONTACTSYNC_SCHEDULER__WORKERS",
            "many",
            'scheduler.workers is "many" but must be a whole number from 1 to 256.',
        ),
        (
            "CONTACTSYNC_SCHEDULER__WORKRES",
            "3",
            "there is no such setting; did you mean CONTACTSYNC_SCHEDULER__WORKERS?",
        ),
        (
            "CONTACTSYNC_DATABASE_URL",
            "postgresql://",
            "there is no such setting; did you mean CONTACTSYNC_DATABASE__URL?",
        ),
        ("CONTACTSYNC_SETTING", "x", "there is no such setting; did you mean CONTACTSYNC_SETTINGS?"),
        ("CONTACTSYNC_ZZZ__ZZZ", "3", "there is no such setting."),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, variable: str, value: str, sentence: str
) -> None:
    """A mistake in the environment is told with the variable, and a near match where there is one."""
    assert refusal(tmp_path, **{variable: value}) == f"Environment variable {variable}: {sentence}"


def test_other_variables_with_the_prefix_are_left_alone(tmp_path: Path) -> None:
    """A variable that is like no setting may hold a password that a definition refers to."""
    assert load(tmp_path, CONTACTSYNC_BIND_PASSWORD="x") == load(tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Problems of the file and of the environment come in one message, one line each."""
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
    """What may be a password stays out of the message, the traceback and the settings' own text."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert "sekret" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "sekret" not in repr(load(tmp_path, '[database]\nurl = "postgresql://u:sekret@h/db"\n'))


def test_a_wrong_connection_string_says_what_is_expected(tmp_path: Path) -> None:
    """A database URL that libpq does not take is refused with the forms that it does."""
    message = refusal(tmp_path, CONTACTSYNC_DATABASE__URL="mysql://h/db")
    assert message.startswith("Environment variable CONTACTSYNC_DATABASE__URL: database.url must be a PostgreSQL URL")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.toml", "There is no settings file {}."),
        ("folder", "{} is a directory, not a settings file."),
        ("latin1.toml", "{} is not text in UTF-8."),
        ("loop.toml", "{} cannot be read: Too many levels of symbolic links."),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    """A file that is missing, a directory, not UTF-8 or unreadable gets one sentence."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin1.toml").write_bytes(b"# \xe9\n")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / name, {})
    assert caught.value.message == sentence.format(tmp_path / name)


def test_the_file_is_searched_in_a_fixed_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's file comes before the environment's, that before the system's, that before the directory's."""
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
    """In a directory like /tmp a settings file is not picked up, and that is said."""
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").touch()
    tmp_path.chmod(0o1777)
    with pytest.raises(SettingsError, match="every user may change it"):
        load_settings(None, {}, search=(Path("settings.toml"),))


def test_an_unreadable_system_file_is_not_passed_over(tmp_path: Path) -> None:
    """Where the system's file cannot be looked at, another database must not be taken instead."""
    (tmp_path / "etc.toml").symlink_to("etc.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(None, {}, search=(tmp_path / "etc.toml",))


def test_the_state_directory_of_systemd_comes_first(tmp_path: Path) -> None:
    """STATE_DIRECTORY (the first, where there are several) holds for the state and for the key in it."""
    settings = load(tmp_path, STATE_DIRECTORY="/srv/one:/srv/two")
    assert (settings.state.directory, settings.secrets.key_file) == (Path("/srv/one"), Path("/srv/one/secret.key"))


def test_the_state_directory_depends_on_the_user(tmp_path: Path) -> None:
    """Without systemd it is the system's for root and below the XDG state directory for anyone else."""
    settings = load(tmp_path, STATE_DIRECTORY="", XDG_STATE_HOME="/home/anna/state")
    expected = "/var/lib/contactsync" if os.geteuid() == 0 else "/home/anna/state/contactsync"
    assert settings.state.directory == Path(expected)


def test_the_key_lies_in_the_chosen_state_directory(tmp_path: Path) -> None:
    """A state directory from the file takes the key along, unless the key has a place of its own."""
    assert load(tmp_path, '[state]\ndirectory = "/srv/x"\n').secrets.key_file == Path("/srv/x/secret.key")
    text = '[state]\ndirectory = "/srv/x"\n[secrets]\nkey_file = "/srv/k"\n'
    assert load(tmp_path, text).secrets.key_file == Path("/srv/k")


def test_a_key_among_systemds_credentials_is_used(tmp_path: Path) -> None:
    """secret.key in the credentials directory is taken when it is there, and only then."""
    assert load(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)).secrets.key_file == Path("/srv/state/secret.key")
    (tmp_path / "secret.key").touch()
    assert load(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)).secrets.key_file == tmp_path / "secret.key"
