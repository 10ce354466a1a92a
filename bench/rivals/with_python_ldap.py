"""python-ldap's paged search, and psycopg."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench.rivals.job import ATTRIBUTES, FILTER, KEY, LISTS, TEXTS, Job
from bench.rivals.upsert import Row, fill

# It has no wheel. Debian's package is for Debian's Python, and works with another one of the same minor version.
sys.path.append("/usr/lib/python3/dist-packages")
import ldap
from ldap.controls import SimplePagedResultsControl


def pages(job: Job) -> Iterator[list[Row]]:
    """The directory's people, a page at a time."""
    connection = ldap.initialize(job.url)
    connection.simple_bind_s(job.user, job.password)
    control = SimplePagedResultsControl(criticality=True, size=int(job.page_size), cookie="")
    while True:
        number = connection.search_ext(job.base, ldap.SCOPE_SUBTREE, FILTER, ATTRIBUTES, serverctrls=[control])
        _, entries, _, controls = connection.result3(number)
        yield [_row(dn, attributes) for dn, attributes in entries if dn is not None]
        control.cookie = next(found.cookie for found in controls if found.controlType == control.controlType)
        if not control.cookie:
            return


def _row(dn: str, attributes: dict[str, list[bytes]]) -> Row:
    texts = (attributes[name][0].decode() if name in attributes else None for name in TEXTS)
    lists = ([value.decode() for value in attributes.get(name, ())] for name in LISTS)
    return attributes[KEY][0].decode(), dn, *texts, *lists


if __name__ == "__main__":
    fill(pages(Job.of_command_line()))
