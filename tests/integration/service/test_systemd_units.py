"""The files in deploy/systemd, checked by systemd's own programs; no systemd needs to be running."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contactsync.settings import Settings
from contactsync.settings.schema import KEY_FILE_NAME, SYSTEM_STATE

UNITS = Path(__file__).parents[3] / "deploy" / "systemd"
EXPOSURE = 15
"""What `systemd-analyze security` may say at most, in tenths."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units as an installation has them: with a program that is there."""
    for name in ("contactsync.service", "contactsync.socket"):
        text = (UNITS / name).read_text()
        program = str(Path(sys.executable).with_name("contactsync"))
        (tmp_path / name).write_text(text.replace("/usr/local/lib/contactsync/bin/contactsync", program))
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def verify(units: Path) -> subprocess.CompletedProcess[str]:
    """Check both units. Without the first option, unknown keys would pass."""
    return analyze(
        "verify", "--recursive-errors=no", "--man=no", units / "contactsync.service", units / "contactsync.socket"
    )


def values(name: str) -> dict[str, list[str]]:
    """Read a unit: its keys, each with all values."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_the_units_are_valid(units: Path) -> None:
    """No unknown key, no bad value, nothing that systemd would warn of."""
    verified = verify(units)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@needs_systemd
def test_an_unknown_key_would_be_found(units: Path) -> None:
    """The check above can fail."""
    with (units / "contactsync.service").open("a") as unit:
        unit.write("[Service]\nProtectEverything=yes\n")
    verified = verify(units)
    assert verified.returncode != 0
    assert "ProtectEverything" in verified.stderr


@needs_systemd
def test_the_service_is_confined(units: Path) -> None:
    """The exposure is 1.5 or better; the reasons for what is left open stand in the unit."""
    rated = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", units / "contactsync.service")
    assert rated.returncode == 0, rated.stdout


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_the_account_is_made_with_its_group(tmp_path: Path) -> None:
    """On a machine without accounts, from the file as it is; its home is the state directory."""
    (tmp_path / "etc").mkdir()
    made = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", UNITS / "contactsync.sysusers.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert f":{SYSTEM_STATE}:" in (tmp_path / "etc" / "passwd").read_text()
    assert (tmp_path / "etc" / "group").read_text().startswith("contactsync:")


def test_the_units_agree_with_the_program() -> None:
    """Names and times that both know: the state directory, the key, the drain, the group of the socket."""
    service, socket = values("contactsync.service"), values("contactsync.socket")
    assert service["StateDirectory"] == [SYSTEM_STATE.name]
    assert service["LoadCredentialEncrypted"][0].partition(":")[0] == KEY_FILE_NAME
    assert int(service["TimeoutStopSec"][0].removesuffix("s")) > Settings().scheduler.drain_seconds
    assert socket["SocketGroup"] == service["Group"] == ["contactsync"]
    assert socket["ListenStream"] == [f"/run/{service['RuntimeDirectory'][0]}/control.sock"]


def test_the_embedded_postgresql_gets_no_sigterm_beside_the_daemon() -> None:
    """The daemon stops it after the last run; a SIGTERM of its own would refuse that run's connections."""
    assert values("contactsync.service")["KillMode"] == ["mixed"]
