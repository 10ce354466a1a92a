"""Which operating-system account the embedded PostgreSQL runs as, and how a command is run as that account."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contactsync.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE_ACCOUNTS = ("contactsync", "postgres")
"""Who serves root, which PostgreSQL refuses; the first of these that exists."""

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""Nothing of the caller's: a PGDATA or LD_LIBRARY_PATH there must not change which server is meant."""

_CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))
"""What lets an account pass closed folders, best first, with the bit numbers of capabilities(7).

Docker withholds the first from its root and grants the second.
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One row of the machine's account list."""

    name: str
    uid: int
    gid: int


def owner_of(path: Path) -> Account:
    """Who owns `path`; raises EmbeddedServerError for a user id without a name, which PostgreSQL cannot serve."""
    return _account(path.stat().st_uid)


def server_account(state_dir: Path, data: Path) -> Account:
    """The account that the server of `state_dir` runs as: the owner of the directory; for root, that of `data` in it.

    New data of root's goes to the first of SERVICE_ACCOUNTS that exists. Raises EmbeddedServerError when none does, or
    when the caller is neither root nor the owner.
    """
    owner = owner_of(state_dir)
    if os.geteuid() not in (0, owner.uid):
        message = f"The state directory {state_dir} belongs to {owner.name}, not to {_account(os.geteuid()).name}."
        raise EmbeddedServerError(
            message, hint=f"Run the command as {owner.name}, or choose another state directory in settings.toml."
        )
    if owner.uid:
        return owner
    return owner_of(data) if data.exists() else _service_account()


def run_as(
    account: Account, command: Sequence[str | Path], *, reaching: Sequence[Path], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command as `account`, apart from the caller's terminal, environment and folder; its output is kept.

    `reaching` are the paths that it needs. Where a closed folder bars the way to one of them (a clone in a private
    home), the command gets the one capability to pass it, so that nobody's folders need be opened.
    """
    return _run([*_prefix(account, reaching), *map(str, command)], stdin)


def _run(command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    # A session of its own: Ctrl-C in the caller's terminal must not reach the server.
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
            return [*plain, *_granting(name)]
    message = f"The account {account.name} cannot reach {barred}."
    raise EmbeddedServerError(
        message, hint="Let others pass the folders above it (chmod o+x), or set a database URL in settings.toml."
    )


def _granting(capability: str) -> list[str]:
    # Without no_setuid_fixup access(2), with which PostgreSQL checks its own programs, would not count it.
    return [
        *(f"--{kind}=-all,+{capability}" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
        "--securebits=+no_setuid_fixup",
    ]


def _effective_capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        message = f"The user id {uid} has no name on this machine, and PostgreSQL tells users apart by name."
        raise EmbeddedServerError(message, hint="Add the account, or set a database URL in settings.toml.") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _service_account() -> Account:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in SERVICE_ACCOUNTS:
        if name in known:
            return Account(name, known[name].pw_uid, known[name].pw_gid)
    command = f"useradd --system --no-create-home --shell /usr/sbin/nologin {SERVICE_ACCOUNTS[0]}"
    message = "PostgreSQL does not run as root, and this machine has no account for it to run as."
    raise EmbeddedServerError(message, hint=f"Make one with `{command}`, or set a database URL in settings.toml.")
