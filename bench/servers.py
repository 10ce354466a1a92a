"""The servers that everything is measured against: a slapd with people, and a PostgreSQL, both private."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, LiteralString

import psycopg

from contactsync.mapping.mapping import compile_mapping
from contactsync.settings.schema import MappingLimits
from contactsync.store.definitions import add_definition, add_folder
from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from contactsync.testing.slapd import PrivateSlapd

PAGE_SIZE = 1000


@dataclass(frozen=True)
class Servers:
    """Both servers while they run; `place` is the temporary directory that contains everything."""

    place: Path
    slapd: PrivateSlapd
    conninfo: str

    @property
    def state(self) -> Path:
        """The state directory of the daemon, with the embedded PostgreSQL."""
        return self.place / "state"

    @property
    def password_file(self) -> Path:
        """Contains the reader's password, without a line break, which ldapsearch would send too."""
        return self.place / "reader-password"

    def ldapsearch(self, mapping: Mapping[str, Any] | None = None) -> float:
        """Seconds of an ldapsearch for what a definition with this mapping requests, with its LDIF to /dev/null."""
        compiled = compile_mapping(dict(mapping or {}), active_directory=False, limits=MappingLimits())
        others = set(compiled.identity) - {"entryUUID"}  # contactsync does not request them from OpenLDAP either
        command = ["ldapsearch", "-x", "-LLL", "-H", self.slapd.url, "-D", self.slapd.reader_dn]
        command += ["-y", str(self.password_file), "-b", self.slapd.people_base, "-E", f"pr={PAGE_SIZE}/noprompt"]
        start = time.perf_counter()
        # Even with -LLL it writes a line to stderr for each page.
        subprocess.run(
            [*command, str(compiled.filter), *(name for name in compiled.attributes if name not in others)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - start

    def ldapmodify(self, changes: str) -> None:
        """Apply changes to the directory."""
        slapd = self.slapd
        command = ["ldapmodify", "-x", "-H", slapd.url, "-D", slapd.admin_dn, "-w", slapd.admin_password]
        subprocess.run(command, input=changes.encode(), stdout=subprocess.DEVNULL, check=True)

    @property
    def postgresql(self) -> str:
        """The version of PostgreSQL."""
        with self.connect() as connection:
            return connection.info.parameter_status("server_version") or "unknown"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the database."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def define(self, connection: psycopg.Connection[Any], **columns: Any) -> int:
        """A folder of everyone; its definition runs only on request: no edit starts a run."""
        values = {
            "query": f"{self.slapd.url}/{self.slapd.people_base}",
            "bind_user": self.slapd.reader_dn,
            "password_ref": f"file:{self.password_file}",
            "tls": "none",
            "schedule": "manual",
            "page_size": PAGE_SIZE,
        }
        return add_definition(connection, add_folder(connection, "Everybody", None), values | columns)

    def administer(self, statement: LiteralString) -> None:
        """Execute a statement as the database's superuser."""
        with psycopg.connect(self.conninfo, user="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def vacuum(self) -> None:
        """Do at once what autovacuum does within a minute of many changes."""
        self.administer("VACUUM ANALYZE")


@contextmanager
def started(people: Callable[[str], Iterable[str]], *, session_log: int | None = None) -> Iterator[Servers]:
    """Start both servers and migrate the database; `people` gives the LDIF of the people below a base.

    With `session_log` the directory offers content synchronization and remembers that many deletions.
    """
    with TemporaryDirectory(prefix="contactsync-bench-", ignore_cleanup_errors=True) as temporary:
        place = Path(temporary).resolve()
        with _filled_slapd(place, people, session_log) as slapd, embedded_server(place / "state") as conninfo:
            servers = Servers(place, slapd, conninfo)
            slapd.write_reader_password(servers.password_file)
            migrate(conninfo)
            yield servers


@contextmanager
def _filled_slapd(
    place: Path, people: Callable[[str], Iterable[str]], session_log: int | None
) -> Iterator[PrivateSlapd]:
    file = place / "people.ldif"
    slapd = PrivateSlapd(place / "slapd", ldif=file, session_log=session_log)
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(people(slapd.people_base))
    with slapd:
        file.unlink()
        yield slapd
