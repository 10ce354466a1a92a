"""Runs `ldapsearch` and writes its people as CSV, for psql to copy; fails if ldapsearch does."""

from __future__ import annotations

import csv
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator

from bench.rivals.job import ATTRIBUTES, FILTER, KEY, LISTS, TEXTS, Job

Entry = dict[str, list[str]]


def main(job: Job) -> int:
    """Write a row for each entry; the exit code is that of ldapsearch."""
    command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", job.url, "-D", job.user, "-y", job.password_file]
    command += ["-b", job.base, "-E", f"pr={job.page_size}/noprompt", FILTER, *ATTRIBUTES]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=nothing, text=True, encoding="utf-8") as process:
        csv.writer(sys.stdout).writerows(map(row, entries(process.stdout or ())))
    return process.returncode


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of LDIF whose lines are not wrapped."""
    entry: Entry = {}
    for line in lines:
        name, _, value = line.rstrip("\n").partition(":")
        if not name and entry:
            yield entry
            entry = {}
        elif name and not name.startswith("#"):
            entry.setdefault(name, []).append(_decoded(value))
    if entry:
        yield entry


def _decoded(value: str) -> str:
    return b64decode(value[1:]).decode() if value.startswith(":") else value.removeprefix(" ")


def row(entry: Entry) -> list[str | None]:
    """The key, the DN, and the other columns."""
    texts = (entry[name][0] if name in entry else None for name in TEXTS)
    return [entry[KEY][0], entry["dn"][0], *texts, *(_array(entry.get(name, ())) for name in LISTS)]


def _array(values: Iterable[str]) -> str:
    """An array in the syntax of PostgreSQL."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


if __name__ == "__main__":
    sys.exit(main(Job.of_command_line()))
