"""What a fleet depends on, with proxies between: PostgreSQL, and directories that count the searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.directory import TEAM_SIZE, dn, team_base, teams_ldif
from contactsync.testing.ports import LOOPBACK
from contactsync.testing.slapd import PrivateSlapd
from tests.support.fleet import Fleet, running_fleet
from tests.support.postgres import FragilePostgres
from tests.support.proxy import Proxy
from tests.support.resources import short_directory
from tests.support.search_meter import SearchMeter

PEOPLE_BASE = "ou=people,dc=example,dc=test"
_SOCKET = ".s.PGSQL.5432"


@dataclass(frozen=True)
class MeteredDirectory:
    """A slapd with so many teams of twenty people, each in a unit of its own."""

    slapd: PrivateSlapd
    proxy: Proxy
    meter: SearchMeter
    reader: str
    """The variable of the environment that has the reader's password."""
    teams: int

    def definition(self, team: int, **columns: Any) -> dict[str, Any]:
        """The columns of a definition of a team."""
        return {
            "query": f"ldap://{LOOPBACK}:{self.proxy.port}/{self.slapd.suffix}",
            "base": team_base(team, PEOPLE_BASE),
            "bind_user": self.slapd.reader_dn,
            "password_ref": f"env:{self.reader}",
            **columns,
        }

    def person(self, number: int) -> str:
        """The DN of a person."""
        return dn(number, team_base(number // TEAM_SIZE, PEOPLE_BASE))


@dataclass(frozen=True)
class FleetServers:
    """`links` are the proxies between each node and PostgreSQL."""

    place: Path
    postgres: FragilePostgres
    conninfo: str
    links: list[Proxy]
    directories: list[MeteredDirectory]

    @contextmanager
    def fleet(self, nodes: int = 0, /, **settings: str) -> Iterator[Fleet]:
        """Start a node for each link, or so many without links."""
        through = [make_conninfo(self.conninfo, host=LOOPBACK, port=link.port) for link in self.links]
        first = self.directories[0].slapd
        number = nodes or len(through)
        settings |= {each.reader: each.slapd.reader_password for each in self.directories}
        with running_fleet(self.conninfo, first, self.place, number, through=through, **settings) as fleet:
            yield fleet


@contextmanager
def fleet_servers(
    *, nodes: int = 3, directories: int = 2, teams: int = 6, pace: float = 0.0, fsync: bool = False
) -> Iterator[FleetServers]:
    """Start everything but the nodes. `pace` is the least time of each search, in seconds."""
    with ExitStack() as stack:
        place, state = stack.enter_context(short_directory()), stack.enter_context(short_directory())
        postgres = stack.enter_context(FragilePostgres(state, fsync=fsync))
        conninfo = postgres.new_database()
        target = Path(str(conninfo_to_dict(conninfo)["host"])) / _SOCKET
        links = [stack.enter_context(closing(Proxy(target))) for _ in range(nodes)]
        made = []
        for number in range(directories):
            ldif = "".join(teams_ldif(teams, PEOPLE_BASE))
            slapd = stack.enter_context(PrivateSlapd(place / f"slapd-{number}", ldif=ldif, session_log=1000))
            proxy = stack.enter_context(closing(Proxy(slapd.port)))
            made.append(MeteredDirectory(slapd, proxy, SearchMeter(proxy, pace), f"READER_{number}", teams))
        yield FleetServers(place, postgres, conninfo, links, made)
