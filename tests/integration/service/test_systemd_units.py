"""The files in deploy/systemd, checked by systemd's own programs; systemd need not be running."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contactsync.settings.file import KEY_FILE_NAME, SYSTEM_STATE
from contactsync.settings.schema import Settings

UNITS = Path(__file__).parents[3] / "deploy" / "systemd"
NAMES = tuple(sorted(path.name for path in UNITS.glob("contactsync*.s*") if path.suffix in {".service", ".socket"}))
EXPOSURE = 15
"""The highest exposure that `systemd-analyze security` may report, in tenths."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units, with a program that exists here."""
    for name in NAMES:
        text = (UNITS / name).read_text()
        program = str(Path(sys.executable).with_name("contactsync"))
        (tmp_path / name).write_text(text.replace("/usr/local/lib/contactsync/bin/contactsync", program))
    shutil.copytree(UNITS / "contactsync.service.d", tmp_path / "contactsync.service.d")
    return tmp_path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of systemd."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def verify(units: Path) -> subprocess.CompletedProcess[str]:
    """Check both units. Without the first option, unknown keys would pass."""
    options = ("--no-pager", "--recursive-errors=no", "--man=no")
    return run("systemd-analyze", "verify", *options, *(units / name for name in NAMES))


def values(name: str) -> dict[str, list[str]]:
    """The keys of a unit, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_the_units_are_valid(units: Path) -> None:
    """Systemd reports no error and no warning."""
    verified = verify(units)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@needs_systemd
def test_an_unknown_key_would_be_found(units: Path) -> None:
    """The test above can fail."""
    with (units / "contactsync.service").open("a") as unit:
        unit.write("[Service]\nProtectEverything=yes\n")
    verified = verify(units)
    assert verified.returncode != 0
    assert "ProtectEverything" in verified.stderr


@needs_systemd
def test_the_service_is_confined(units: Path) -> None:
    """The exposure is at most 1.5; the unit has the reason for each permission. The console's is, too."""
    command = ("systemd-analyze", "--no-pager", "security", "--offline=true", f"--threshold={EXPOSURE}")
    for name in ("contactsync.service", "contactsync-web.service"):
        rated = run(*command, units / name)
        assert rated.returncode == 0, rated.stdout


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_the_account_is_created_with_its_group(tmp_path: Path) -> None:
    """On a machine without accounts; its home is the state directory."""
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "contactsync.sysusers.conf")
    assert made.returncode == 0, made.stderr
    assert f":{SYSTEM_STATE}:" in (tmp_path / "etc" / "passwd").read_text()
    groups = [line.partition(":")[0] for line in (tmp_path / "etc" / "group").read_text().splitlines()]
    assert groups == ["contactsync", "contactsync-web"]


def test_the_units_agree_with_the_program() -> None:
    """On the state directory, the key, the drain, and the group and path of the socket."""
    service, socket = values("contactsync.service"), values("contactsync.socket")
    assert service["StateDirectory"] == [SYSTEM_STATE.name]
    assert service["LoadCredentialEncrypted"][0].partition(":")[0] == KEY_FILE_NAME
    assert int(service["TimeoutStopSec"][0].removesuffix("s")) > Settings().scheduler.drain_seconds
    assert socket["SocketGroup"] == service["Group"] == ["contactsync"]
    assert socket["ListenStream"] == [f"/run/{service['RuntimeDirectory'][0]}/control.sock"]


def test_the_units_of_the_console_agree_with_the_program() -> None:
    """On the daemon's socket and its name there, the user, and the address."""
    service, door = values("contactsync-web.service"), values("contactsync-web-daemon.socket")
    defaults = Settings().web
    assert service["User"] == [defaults.user]
    assert door["SocketGroup"] == [defaults.group]
    assert door["FileDescriptorName"] == ["web"]
    assert door["Service"] == ["contactsync.service"]
    assert door["ListenStream"] == [f"/run/contactsync/{defaults.socket.name}"]
    assert values("contactsync-web.socket")["ListenStream"] == [defaults.listen]


def test_only_the_daemon_gets_a_sigterm() -> None:
    """The daemon stops PostgreSQL after the last run; with a SIGTERM it would refuse that run's connections."""
    assert values("contactsync.service")["KillMode"] == ["mixed"]
