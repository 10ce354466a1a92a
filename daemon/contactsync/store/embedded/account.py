"""The operating-system account of the embedded PostgreSQL, and how a command is run as that account."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contactsync.errors import EmbeddedServerError, EmbeddedServerForbidden

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE_ACCOUNTS = ("contactsync", "postgres")
"""The first of these that exists runs the server when root starts it: PostgreSQL refuses to run as root."""

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""Nothing of the caller's environment: PGDATA or LD_LIBRARY_PATH could select another server."""

_CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))
"""Capabilities that let an account traverse closed folders, with their bits (capabilities(7)); the weakest comes first.

Docker withholds the first from its root and grants the second.
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


def owner_of(path: Path) -> Account:
    """The owner of `path`. Raises EmbeddedServerError for a user id without a name, which PostgreSQL cannot use."""
    return _account(path.stat().st_uid)


def require_name() -> None:
    """Raise EmbeddedServerError if the current user id has no name, which PostgreSQL needs."""
    _account(os.geteuid())


def server_account(state_dir: Path, data: Path) -> Account:
    """The account that runs the server of `state_dir`: its owner, or if that is root, the owner of `data` in it.

    Without `data`, root's server gets the first of SERVICE_ACCOUNTS that exists. Raises EmbeddedServerError if none
    does, EmbeddedServerForbidden if the caller is neither root nor the owner.
    """
    owner = owner_of(state_dir)
    if os.geteuid() not in (0, owner.uid):
        raise EmbeddedServerForbidden(
            f"The state directory {state_dir} belongs to {owner.name}, not to {_account(os.geteuid()).name}.",
            hint=f"Run the command as {owner.name}, or choose another state directory in settings.toml.",
        )
    if owner.uid:
        return owner
    return owner_of(data) if data.exists() else _service_account()


def run_as(
    account: Account, command: Sequence[str | Path], *, reaching: Sequence[Path], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command as `account`, without the caller's terminal, environment and folder, and capture its output.

    `reaching` are the paths that it needs. A closed folder (such as a private home) may lie above one of them. Then the
    command gets the one capability to pass it, so that no folder has to be opened to others.
    """
    return _run([*_prefix(account, reaching), *map(str, command)], stdin)


def _run(command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    # In a session of its own: Ctrl-C in the caller's terminal must not reach the server.
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        check=False,
    )


def _prefix(account: Account, reaching: Sequence[Path]) -> list[str]:
    if account.uid == os.geteuid():
        return []
    plain = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    barred = next((path for path in reaching if _run([*plain, "test", "-x", str(path)]).returncode), None)
    if barred is None:
        return plain
    held = _effective_capabilities()
    for name, bit in _CAPABILITIES:
        if held >> bit & 1:
            grants = [f"--{kind}=-all,+{name}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
            # Without no_setuid_fixup, access(2) ignores the capability, and PostgreSQL checks its programs with it.
            return [*plain, *grants, "--securebits=+no_setuid_fixup"]
    raise EmbeddedServerError(
        f"The account {account.name} cannot reach {barred}.",
        hint="Let others pass the folders above it (chmod o+x), or set a database URL in settings.toml.",
    )


def _effective_capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedServerError(
            f"The user id {uid} has no name on this machine, and PostgreSQL identifies users by name.",
            hint="Add the account, or set a database URL in settings.toml.",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _service_account() -> Account:
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in SERVICE_ACCOUNTS:
        if name in accounts:
            return Account(name, accounts[name].pw_uid, accounts[name].pw_gid)
    command = f"useradd --system --no-create-home --shell /usr/sbin/nologin {SERVICE_ACCOUNTS[0]}"
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and this machine has no account for it to run as.",
        hint=f"Make one with `{command}`, or set a database URL in settings.toml.",
    )
