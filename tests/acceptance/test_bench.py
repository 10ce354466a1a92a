"""`make bench` with very few entries: everything is measured, checked and written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from bench.comparison import count_equal
from bench.directory import Staff, ldif
from bench.others import PEOPLE, PROGRAMS, Program, carry_out, make_table, reason_to_leave_out
from bench.plots import draw
from bench.results import KINDS, Folders, Kind, Results, Rival, Round, Size, Turn
from bench.servers import Servers
from contactsync.testing.slapd import PrivateSlapd
from tests.support.resources import short_directory

ROOT = Path(__file__).parents[2]
ENTRIES, MORE, FOLDERS = 200, 400, 5
BASE = "ou=people,dc=example,dc=test"
DEBIAN_PACKAGES = Path("/usr/lib/python3/dist-packages")

_INSERT = """
INSERT INTO people (source_key, source_dn, display_name, given_name, family_name, title, department, organization,
                    street, city, region, postal_code, emails, work_phones, mobile_phones)
VALUES (gen_random_uuid(), %(dn)s, %(cn)s, %(givenName)s, %(sn)s, %(title)s, %(departmentNumber)s, %(o)s, %(street)s,
        %(l)s, %(st)s, %(postalCode)s, ARRAY[%(mail)s], ARRAY[%(telephoneNumber)s], ARRAY[%(mobile)s])
"""

_ONE_MORE = """
INSERT INTO people (source_key, source_dn, emails, work_phones, mobile_phones)
VALUES (gen_random_uuid(), 'uid=v', '{}', '{}', '{}')
"""


def versions(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The transaction that wrote each row."""
    return dict(connection.execute("SELECT source_dn, xmin::text FROM people").fetchall())


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the command once, and give its output folder."""
    folder = tmp_path_factory.mktemp("bench")
    options = f"--entries {ENTRIES} --sizes {MORE} --pairs 1 --folders {FOLDERS} --idle-seconds 0.5 --live-seconds 1"
    options += f" --doubled-entries {ENTRIES} --only one"
    command = [sys.executable, "-m", "bench", *options.split(), "--output", str(folder)]
    with short_directory() as place:
        environ = {**os.environ, "TMPDIR": str(place)}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def results(output: Path) -> dict[str, Any]:
    """Give the contents of results.json."""
    document: dict[str, Any] = json.loads((output / "results.json").read_text(encoding="utf-8"))
    return document


def test_every_kind_of_run_is_measured_at_every_size(results: dict[str, Any]) -> None:
    """With ldapsearch, the stages, the memory, and contacts that equal the directory."""
    assert [size["entries"] for size in results["sizes"]] == [ENTRIES, MORE]
    for size in results["sizes"]:
        assert tuple(size["kinds"]) == KINDS
        assert size["contacts"] == size["entries"]
        assert len(size["wal"]) == len(size["wal_after_checkpoint"]) == 1
        for kind in size["kinds"].values():
            (turn,) = kind["turns"]
            assert turn["ldapsearch"] > 0
            assert 0 < sum(turn["stages"].values()) < turn["seconds"]
            assert turn["peak"] > 1_000_000
    searched = results["sizes"][-1]["kinds"]
    assert {"map", "stage", "plan", "apply"} <= searched["first load"]["turns"][0]["stages"].keys()
    assert searched["1% changed"]["turns"][0]["unchanged"] > 0


def test_the_others_have_exactly_the_people_of_the_directory(results: dict[str, Any]) -> None:
    """Each is measured twice, except python-ldap where Debian has none for this Python."""
    version = "".join(map(str, sys.version_info[:2]))
    has_python_ldap = bool(list(DEBIAN_PACKAGES.glob(f"_ldap.cpython-{version}-*.so")))
    rivals = {rival["name"]: rival for rival in results["rivals"]}
    assert list(rivals) == ["ldapsearch | psql", "python-ldap", "ldap3"]
    assert (rivals["python-ldap"]["left_out"] is None) == has_python_ldap
    for rival in rivals.values():
        measured = rival["left_out"] is None
        assert rival["rows"] == (ENTRIES if measured else 0)
        assert len(rival["first"]["turns"]) == len(rival["again"]["turns"]) == measured


def test_many_folders_all_run(results: dict[str, Any]) -> None:
    """Each once at the first start and once on request; and edits take effect."""
    folders = results["folders"]
    assert (folders["folders"], folders["people"]) == (FOLDERS, FOLDERS * 20)
    for name in ("first_round", "full_round"):
        made = folders[name]
        assert made["runs"] == made["definitions"] == FOLDERS
        assert 0 < made["longest_wait"] < made["seconds"]
        assert made["stages"]["search"] > 0
    assert min(*folders["noticed"], folders["noticed_in_round"], folders["first_start"], folders["restart"]) > 0
    assert folders["peak"] >= folders["idle_memory"] > 1_000_000
    assert folders["first_peak"] > 1_000_000


def test_increments_and_a_live_folder_are_measured(results: dict[str, Any]) -> None:
    """At the main size, each with a full run; every change of the live folder arrives."""
    (measured,) = results["following"]
    (increment,) = measured["increments"]
    assert min(increment["seconds"], increment["full"]) > 0
    assert (measured["entries"], len(measured["delays"])) == (ENTRIES, 50)


def test_costs_that_must_double_are_measured(results: dict[str, Any]) -> None:
    """Over so many entries and over twice as many; every contact came back, or the benchmark ends."""
    assert len(results["doublings"]) == 3
    for made in results["doublings"]:
        assert made["entries"] == ENTRIES
        assert min(made["once"], made["twice"]) > 0


def test_every_table_is_in_the_report(output: Path, results: dict[str, Any]) -> None:
    """With a row for each target, met or not, or not measured."""
    page = (output / "results.md").read_text(encoding="utf-8")
    for target in results["targets"]:
        met = {True: "met", False: "not met", None: "-"}[target["met"]]
        assert f"| {target['what']} | {target['wanted']} | {target['measured']} | {met} |" in page
    assert len(results["targets"]) == 18
    assert re.search(r"\n\| PostgreSQL \| \d+\.\d+ \|", page)
    assert "| memory at 1,000,000 entries | ≤ 400 MB | not measured | - |" in page
    for heading in (
        "The main job",
        "Where the time",
        "Beside the others",
        "Sizes",
        "WAL",
        "Many folders",
        "Rounds",
        "Only what",
        "Twice as much",
    ):
        assert f"\n## {heading}" in page
    for kind in KINDS:
        assert page.count(f"| {kind} |") == 4  # once each: main job, stages; for each of two sizes
    for name in ("contactsync", "ldapsearch \\| psql", "python-ldap", "ldap3"):
        assert f"\n| {name} | " in page


@pytest.mark.parametrize(
    ("plot", "labels"),
    [
        ("others", {"contactsync", "ldapsearch | psql", "ldap3", "ldapsearch (only reads)", "first load", "seconds"}),
        ("time", {*KINDS, "ldapsearch", "200", "400", "entries", "seconds"}),
        ("memory", {*KINDS, "200", "400", "entries", "MB"}),
        ("stages", {*KINDS, "connect", "fingerprints", "search", "map", "stage", "plan", "apply", "other"}),
    ],
)
def test_the_plots_are_drawn(output: Path, plot: str, labels: set[str]) -> None:
    """Each is SVG with its words as text."""
    root = ET.parse(output / f"{plot}.svg").getroot()  # noqa: S314  (written by our own program)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert labels <= {"".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")}


def test_the_same_numbers_give_the_same_plots(tmp_path: Path) -> None:
    """They contain no date and nothing random."""
    kind = Kind([Turn(2.0, 1.0, peak=100, stages={"search": 1.0})])
    made = Round(seconds=1, runs=1, definitions=1, longest_wait=1, stages={})
    size = Size(10, dict.fromkeys(KINDS, kind), [1], [1], 10)
    folders = Folders(1, 20, 1, made, 1, 1, 0, 1, [1], made, 1, 1)
    for place in (tmp_path / "once", tmp_path / "again"):
        place.mkdir()
        draw(Results({}, {}, 10, [size], [Rival("ldap3", kind, kind, 10)], folders), place)
    once, again = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("once", "again"))
    assert once == again
    assert len(once) == 4


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_others_do_the_same_work(
    program: Program, make_slapd: Callable[..., PrivateSlapd], database: str, tmp_path: Path
) -> None:
    """They apply edits, adds and deletes, and write no other row."""
    if reason := reason_to_leave_out(program):
        pytest.skip(reason)
    staff = Staff(1200, BASE)  # more than a page
    servers = Servers(tmp_path, make_slapd(ldif="".join(ldif(range(staff.count), BASE))), database)
    servers.slapd.write_reader_password(servers.password_file)
    make_table(database)
    carry_out(servers, program, database)
    with psycopg.connect(database, autocommit=True) as connection:
        before = versions(connection)
        servers.ldapmodify(staff.change())
        carry_out(servers, program, database)
        assert count_equal(connection, PEOPLE, staff.records()) == staff.count
        written = versions(connection).items() - before.items()
    assert len(written) == 3 * staff.quarter


@pytest.mark.parametrize(
    "mistake",
    [
        "UPDATE people SET mobile_phones = '{}' WHERE source_dn LIKE 'uid=u0000001,%'",
        "DELETE FROM people WHERE source_dn LIKE 'uid=u0000001,%'",
        "DELETE FROM people WHERE source_dn LIKE 'uid=u0000002,%'",
        _ONE_MORE,
    ],
)
def test_a_table_that_is_not_the_directory_ends_the_benchmark(database: str, mistake: LiteralString) -> None:
    """By one value, one person in the middle or at the end, or one person more."""
    staff = Staff(3, BASE)
    make_table(database)
    with psycopg.connect(database, autocommit=True) as connection:
        for dn, attributes in staff.records():
            connection.execute(_INSERT, {"dn": dn, **attributes})
        assert count_equal(connection, PEOPLE, staff.records()) == 3
        connection.execute(mistake)
        with pytest.raises(SystemExit, match="people"):
            count_equal(connection, PEOPLE, staff.records())
