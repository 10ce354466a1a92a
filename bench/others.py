"""Measures other programs that do the same: each as a whole process, in turns with `ldapsearch`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench.comparison import count_equal
from bench.directory import Staff
from bench.results import Kind, Rival, Turn
from bench.rivals.job import Job
from bench.servers import PAGE_SIZE, Servers
from bench.terminal import say, turns
from contactsync.store.embedded import psql_command

RIVALS = Path(__file__).with_name("rivals")
PEOPLE = sql.Identifier("people")
_DEBIAN_PACKAGES = Path("/usr/lib/python3/dist-packages")


@dataclass(frozen=True)
class Program:
    """A rival: its name in the tables, and its module; None for psql."""

    name: str
    module: str | None = None


PSQL = Program("ldapsearch | psql")
PYTHON_LDAP = Program("python-ldap", "bench.rivals.with_python_ldap")
LDAP3 = Program("ldap3", "bench.rivals.with_ldap3")
PROGRAMS = (PSQL, PYTHON_LDAP, LDAP3)


def measure_rivals(servers: Servers, staff: Staff, pairs: int) -> list[Rival]:
    """Measure all of them over this directory."""
    return [_measure(servers, program, staff, pairs) for program in PROGRAMS]


def _measure(servers: Servers, program: Program, staff: Staff, pairs: int) -> Rival:
    if reason := reason_to_leave_out(program):
        say(f"  {program.name} is left out: {reason}")
        return Rival(program.name, left_out=reason)
    say(f"  {program.name}: {turns(pairs)} of a first load, and again with nothing changed")
    database = _make_database(servers)
    first, again = Kind(), Kind()
    for _ in range(pairs):
        make_table(database)
        first.turns.append(_turn(servers, program, database))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE people")
        again.turns.append(_turn(servers, program, database))
    with psycopg.connect(database) as connection:
        return Rival(program.name, first, again, count_equal(connection, PEOPLE, staff.records()))


def _make_database(servers: Servers) -> str:
    with servers.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS rival")
        connection.execute("CREATE DATABASE rival")
    return make_conninfo(servers.conninfo, dbname="rival")


def make_table(database: str) -> None:
    """Make the empty table that a rival fills."""
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE IF EXISTS people")
        connection.execute((RIVALS / "people.sql").read_bytes())


def carry_out(servers: Servers, program: Program, database: str) -> None:
    """Run a rival to its end."""
    slapd = servers.slapd
    job = Job(slapd.url, slapd.reader_dn, str(servers.password_file), slapd.people_base, str(PAGE_SIZE))
    command, environ = _command(program, job, database)
    subprocess.run(command, env=os.environ | environ, cwd=RIVALS.parents[1], check=True)


def reason_to_leave_out(program: Program) -> str | None:
    """Why a rival cannot be measured on this machine; None if it can."""
    if program is not PYTHON_LDAP or find_spec("ldap"):
        return None
    version = "".join(map(str, sys.version_info[:2]))
    if list(_DEBIAN_PACKAGES.glob(f"_ldap.cpython-{version}-*.so")):
        return None
    return (
        f"Debian's package python3-ldap is not installed, or is built for another Python than this one "
        f"({sys.version_info[0]}.{sys.version_info[1]})."
    )


def _turn(servers: Servers, program: Program, database: str) -> Turn:
    ldapsearch = servers.ldapsearch()
    start = time.perf_counter()
    carry_out(servers, program, database)
    return Turn(time.perf_counter() - start, ldapsearch)


def _command(program: Program, job: Job, database: str) -> tuple[list[str], dict[str, str]]:
    if program.module:
        return [sys.executable, "-m", program.module, *astuple(job)], {"DATABASE": database}
    psql = [*shlex.split(psql_command(database)), "--no-psqlrc", "--quiet", "--single-transaction"]
    psql += ["--set", "ON_ERROR_STOP=1", "--file", str(RIVALS / "merge.sql")]
    reader = shlex.join([sys.executable, "-m", "bench.rivals.ldif_rows", *astuple(job)])
    return psql, {"READ_DIRECTORY": reader}
