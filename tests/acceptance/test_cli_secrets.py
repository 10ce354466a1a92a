"""`contactsync secrets key export` and `contactsync secrets key import`: one key on several machines."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.processes import CommandLine, assert_refused

SEALED = ("folders", "add", "Sealed", "--query", "dc1", "--user", "cn=x", "--password-stdin")


@pytest.fixture
def key(cli: CommandLine) -> Path:
    """Give the key file of a machine that has sealed a password."""
    cli.ok(*SEALED, typed="swordfish-4711\n")
    return Path(cli.environ["CONTACTSYNC_STATE__DIRECTORY"]) / "secret.key"


@pytest.fixture
def other(cli: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Give the command line of another machine on the same database."""
    return CommandLine(cli.environ["CONTACTSYNC_DATABASE__URL"], tmp_path_factory.mktemp("other"))


def key_file(machine: CommandLine) -> Path:
    """The key file of a machine."""
    return Path(machine.environ["CONTACTSYNC_STATE__DIRECTORY"]) / "secret.key"


def test_a_key_is_carried_to_another_machine(cli: CommandLine, other: CommandLine, key: Path, tmp_path: Path) -> None:
    """By a file of mode 0600, or through a pipe; the key on the other machine is for its owner alone."""
    carried = tmp_path / "carried.key"
    exported = cli.json("secrets", "key", "export", str(carried))
    assert (carried.read_bytes(), stat.S_IMODE(carried.stat().st_mode)) == (key.read_bytes(), 0o600)
    assert exported["key_id"] in cli("secrets", "key", "export").stderr
    assert_refused(cli("secrets", "key", "export", str(carried)), 64, "exists already")
    imported = other.json("secrets", "key", "import", str(carried))
    assert (imported["state"], imported["passwords"], imported["passwords_fitting"]) == ("installed", 1, 1)
    assert key_file(other).read_bytes() == key.read_bytes()
    assert stat.S_IMODE(key_file(other).stat().st_mode) == 0o600
    piped = other("secrets", "key", "import", typed=cli("secrets", "key", "export").stdout)
    assert "has this key already" in piped.stdout, piped


def test_a_terminal_shows_the_key_only_on_request(cli: CommandLine, key: Path) -> None:
    """It stays in the terminal's history; a JSON document never has it."""
    secret = key.read_text(encoding="utf-8").strip()
    code, shown = cli.in_terminal("secrets", "key", "export")
    assert (code, secret in shown) == (64, False)
    assert secret in cli.in_terminal("secrets", "key", "export", "--show")[1]
    assert_refused(cli("secrets", "key", "export", "--json"), 64, "never has the key")


def test_no_export_makes_a_key(other: CommandLine) -> None:
    """It would be another one than that of the machine that was meant."""
    assert_refused(other("secrets", "key", "export"), 1, "There is no key file")
    assert not key_file(other).exists()


def test_a_key_that_opens_passwords_is_not_replaced(
    cli: CommandLine, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nor is a key imported that opens none of them, or one that may be needed while the database is away."""
    stranger = CommandLine("host=/nonexistent dbname=x", tmp_path_factory.mktemp("stranger"))
    state = key_file(stranger)
    state.parent.mkdir()
    state.write_text(f"{'A' * 43}=\n", encoding="utf-8")
    state.chmod(0o600)
    before = key.read_bytes()
    assert_refused(cli("secrets", "key", "import", str(state)), 1, "opens none of the 1 stored password")
    done = stranger("secrets", "key", "import", str(key))
    assert_refused(done, 1, "has another key", "the database could not be read")
    assert (key.read_bytes(), state.read_bytes()) == (before, f"{'A' * 43}=\n".encode())


def test_a_key_that_no_password_needs_is_replaced(other: CommandLine, key: Path) -> None:
    """Such as one that a daemon made at its first start, before the key was imported."""
    key_file(other).parent.mkdir()
    key_file(other).write_text(f"{'A' * 43}=\n", encoding="utf-8")
    key_file(other).chmod(0o600)
    assert other.json("secrets", "key", "import", str(key))["state"] == "replaced"
    assert key_file(other).read_bytes() == key.read_bytes()
    assert_refused(other("secrets", "key", "import", typed="no key\n"), 1, "Standard input has no key")


def test_without_a_database_a_key_is_installed(key: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The comparison is left out, and the command says so."""
    early = CommandLine("host=/nonexistent dbname=x", tmp_path_factory.mktemp("early"))
    done = early("secrets", "key", "import", str(key))
    assert done.returncode == 0, done
    assert "was not compared with the database" in done.stderr
    assert key_file(early).read_bytes() == key.read_bytes()
