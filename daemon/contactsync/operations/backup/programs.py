"""PostgreSQL's own programs for dumps: those of the embedded server, on PATH, and in Debian's folders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.errors import DatabaseError, EmbeddedServerError
from contactsync.store.embedded import packaged_binaries

_NAMES = ("pg_dump", "pg_restore", "psql")
_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with pg_dump, pg_restore and psql, all of one major version."""

    folder: Path
    version: int

    def start(
        self,
        name: str,
        *arguments: str,
        errors: IO[bytes],
        conninfo: str | None = None,
        stdin: int | None = None,
        stdout: int | IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program; with a `conninfo` on that database. No password is in its arguments."""
        environ = os.environ | {"LC_ALL": "C", "PGAPPNAME": f"contactsync-{name}"}
        options: list[str] = []
        if conninfo is not None:
            parameters = conninfo_to_dict(conninfo)
            password = parameters.pop("password", None)
            environ |= {"PGPASSWORD": str(password)} if password else {}
            options = ["--no-password", f"--dbname={make_conninfo('', **parameters)}"]
        command = [str(self.folder / name), *options, *arguments]
        return subprocess.Popen(command, env=environ, stdin=stdin, stdout=stdout, stderr=errors, start_new_session=True)


def find_programs(server_version: int, *, newest: bool = False) -> Programs:
    """The programs for a server of this major version: of the same, or else of the next newer one.

    With `newest` those of the newest version, which read the dumps of every other. Raises DatabaseError.
    """
    found = {programs.version: programs for programs in reversed(list(_all_programs()))}
    fitting = [version for version in found if version >= server_version]
    if fitting:
        return found[max(fitting) if newest else min(fitting)]
    versions = ", ".join(map(str, sorted(found))) or "none"
    raise DatabaseError(
        f"PostgreSQL {server_version} needs its own pg_dump, pg_restore and psql; found were those of {versions}.",
        hint=f"Install them, on Debian as postgresql-client-{server_version}, or put their folder on PATH.",
    )


def _all_programs() -> Iterator[Programs]:
    """Every folder with all programs; the preferred ones of a version first."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(_DEBIAN.glob("*/bin"))
    with suppress(EmbeddedServerError):
        folders.append(packaged_binaries())
    for folder in dict.fromkeys(folders):
        if all(shutil.which(name, path=str(folder)) for name in _NAMES):
            done = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, check=False)
            if match := _VERSION.search(done.stdout):
                yield Programs(folder, int(match[1]))


def failure(name: str, errors: IO[bytes]) -> DatabaseError:
    """The error of a program that failed, from what it wrote to `errors`."""
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    reasons = [line for line in lines if "error:" in line.lower()] or lines[-1:] or ["it gave no reason"]
    reason = re.sub(r"^.*(?:error|ERROR):\s+", "", reasons[0]).rstrip(".")
    hint = "Nothing was changed."
    if "row-level security" in reason:
        hint = "Use a role that sees every row: --role contactsync_backup (deploy/postgresql/backup.sql)."
    return DatabaseError(f"{name} failed: {reason}.", hint=hint)
