"""ldap3's own `paged_search`, and psycopg."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import ldap3

from bench.rivals.job import ATTRIBUTES, FILTER, KEY, LISTS, TEXTS, Job
from bench.rivals.upsert import Row, fill


def pages(job: Job) -> Iterator[list[Row]]:
    """The directory's people, a page at a time."""
    server = ldap3.Server(job.url, get_info=ldap3.NONE)
    with ldap3.Connection(server, job.user, job.password, raise_exceptions=True) as connection:
        entries = connection.extend.standard.paged_search(
            job.base, FILTER, ldap3.SUBTREE, attributes=ATTRIBUTES, paged_size=int(job.page_size), generator=True
        )
        rows = (_row(entry) for entry in entries if entry["type"] == "searchResEntry")
        while page := list(islice(rows, int(job.page_size))):
            yield page


def _row(entry: dict[str, Any]) -> Row:
    attributes = entry["attributes"]
    texts = (attributes[name][0] if attributes.get(name) else None for name in TEXTS)
    return attributes[KEY][0], entry["dn"], *texts, *(attributes.get(name, []) for name in LISTS)


if __name__ == "__main__":
    fill(pages(Job.of_command_line()))
