"""The benchmark's people, targets and reader of LDIF."""

from __future__ import annotations

import re

import pytest

from bench.directory import Staff, attributes, dn
from bench.results import KINDS, Folders, Kind, Results, Round, Size, Turn
from bench.rivals.ldif_rows import entries, row
from bench.targets import growth, targets

BASE = "ou=people,dc=example,dc=test"


def size(count: int, *, seconds: float = 1.0, peak: int = 0, wal: int = 0) -> Size:
    """Results over this many entries: each run took `seconds`, and ldapsearch one second."""
    turn = Turn(seconds, ldapsearch=1.0, peak=peak, unchanged=1.0)
    return Size(count, {kind: Kind([turn]) for kind in KINDS}, [0], [wal], count)


def results(*sizes: Size, folders: Folders | None = None) -> Results:
    """The results of a benchmark; its main size is the first."""
    return Results({}, {}, sizes[0].entries, list(sizes), [], folders)


def many(*, folders: int = 10_000, run_finished: int) -> Folders:
    """Many folders, of which `run_finished` ran."""
    made = Round(seconds=1, runs=run_finished, definitions=run_finished, longest_wait=1, stages={})
    return Folders(folders, 20 * folders, 1, made, 0, 1, 0.03, 0, [0.1, 5.0, 0.1], made, 0, 0)


def met(what: str, measured: Results) -> bool | None:
    """Whether the one target with these words was met."""
    (target,) = (target for target in targets(measured) if what in target.what)
    return target.met


def changed(ldif: str, kind: str) -> set[str]:
    """The DNs of the LDIF records of a changetype."""
    return set(re.findall(rf"^dn: (.*)\nchangetype: {kind}$", ldif, re.MULTILINE))


def test_a_round_of_changes_is_what_the_staff_becomes() -> None:
    """Half of 1% is edited, a quarter each is added and deleted, in each of three rounds."""
    staff = Staff(4000, BASE)
    for _ in range(3):
        before = dict(staff.records())
        ldif = staff.change()
        after = dict(staff.records())
        assert changed(ldif, "add") == after.keys() - before.keys()
        assert changed(ldif, "delete") == before.keys() - after.keys()
        assert changed(ldif, "modify") == {name for name in before.keys() & after.keys() if before[name] != after[name]}
        assert [len(changed(ldif, kind)) for kind in ("modify", "add", "delete")] == [20, 10, 10]


def test_the_records_are_in_the_order_of_their_names() -> None:
    """Contacts are compared in that order."""
    staff = Staff(400, BASE)
    staff.change()
    names = [name for name, _ in staff.records()]
    assert names == sorted(names)


def test_the_same_number_is_the_same_person() -> None:
    """In every benchmark."""
    assert attributes(7) == attributes(7) != attributes(8)
    assert dict(Staff(10, BASE).records())[dn(7, BASE)] == attributes(7)


@pytest.mark.parametrize(("seconds", "expected"), [(0.85, True), (0.86, False)])
def test_a_ratio_is_met_up_to_its_limit(seconds: float, expected: bool) -> None:  # noqa: FBT001
    """A run without changes may take 0.85 of ldapsearch."""
    assert met("nothing changed, to ldapsearch", results(size(10, seconds=seconds))) is expected


def test_memory_has_targets_at_two_sizes() -> None:
    """There is no target for other sizes."""
    measured = results(size(100_000, peak=110_000_001), size(10, peak=1))
    assert met("memory at 100,000", measured) is False
    assert met("memory at 1,000,000", measured) is None


def test_growth_is_the_greatest_rise_from_any_size_to_a_larger_one() -> None:
    """Also if a small directory takes longer per entry than a larger one."""
    sizes = [size(100, seconds=2), size(1000, seconds=10), size(10_000, seconds=120)]
    assert growth(sizes) == pytest.approx(0.2)
    assert met("growth", results(*sizes)) is False
    assert growth(sizes[:1]) is None


def test_wal_is_judged_by_the_worse_case() -> None:
    """At rest or after a checkpoint."""
    assert met("WAL", results(size(10, wal=65_537))) is False
    assert met("WAL", results(size(10, wal=65_536))) is True


def test_targets_of_many_folders() -> None:
    """One folder left out misses the target; one slow edit of three does not."""
    measured = results(size(10), folders=many(run_finished=9_999))
    assert met("left out", measured) is False
    assert met("idle, of one core", measured) is False
    assert met("an edit noticed", measured) is True
    assert met("left out", results(size(10), folders=many(run_finished=10_000))) is True
    assert met("left out", results(size(10), folders=many(folders=10, run_finished=10))) is None
    assert met("first runs", results(size(10), folders=many(run_finished=180))) is True
    assert met("first runs", results(size(10), folders=many(run_finished=179))) is False


def test_a_ratio_is_taken_in_each_turn() -> None:
    """So a machine that slows down between two turns does not change it."""
    kind = Kind([Turn(1.0, 2.0), Turn(10.0, 20.0), Turn(3.0, 3.0)])
    assert (kind.ratio.median, kind.ratio.least, kind.ratio.greatest) == (0.5, 0.5, 1.0)


def test_the_stages_add_up_to_the_time_of_a_run() -> None:
    """The rest is a stage of its own."""
    kind = Kind([Turn(3.0, 1.0, stages={"search": 1.0, "map": 0.5})])
    assert kind.stages == {"search": 1.0, "map": 0.5, "other": 1.5}


def test_ldif_becomes_rows() -> None:
    """With values in Base64, several values, and characters that an array must quote."""
    lines = ["dn:: dWlkPcO8", "entryUUID: 1-2", "cn:: SsO8cmdlbg==", 'mail: a"b', "mail: c\\d", "", "# a comment", ""]
    (entry,) = entries(f"{line}\n" for line in lines)
    made = row(entry)
    assert made[:4] == ["1-2", "uid=ü", "Jürgen", None]
    assert made[-3:] == ['{"a\\"b","c\\\\d"}', "{}", "{}"]
