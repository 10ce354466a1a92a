"""Whole runs against directories that fail, refuse or send wrong data: each reports an error and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from contactsync.model import Outcome
from contactsync.testing.certificates import make_certificates, make_self_signed
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change, people
from tests.support.observers import once
from tests.support.peers import CLOSE, Answer, answers, bind_answer, entry, message, peer, result, root_dse_answer
from tests.support.proxy import Fault, Harm, Proxy

MANY = 700
SIZE_LIMIT = 500


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a directory of more people than its limited user may read."""
    directory = tmp_path_factory.mktemp("crowd") / "slapd"
    with PrivateSlapd(directory, ldif=people_ldif(MANY), size_limit=SIZE_LIMIT) as server:
        yield server


@pytest.fixture
def far_folder(make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, proxy: Proxy) -> SyncedFolder:
    """Fill a folder through the proxy, without TLS, and change the directory."""
    query = f"ldap://127.0.0.1:{proxy.port}/{directory.suffix}"
    folder = make_folder(directory, query=query, tls="none")
    assert folder.run().outcome is Outcome.CHANGED
    change(directory)
    return folder


@pytest.mark.parametrize("page_size", [100, SIZE_LIMIT, 0])
def test_a_limit_of_500_entries_fills_no_empty_folder(
    make_folder: Callable[..., SyncedFolder], crowd: PrivateSlapd, page_size: int
) -> None:
    """The first 500 of 700 people are not a complete snapshot; a user without limits gets all."""
    folder = make_folder(crowd, bind_user=crowd.limited_dn)
    folder.set_password(crowd.limited_password)
    before = folder.rows()
    report = folder.run(page_size=page_size)
    folder.expect_failure(
        report, "directory.incomplete", "after 500 entries", "sizeLimitExceeded (4)", "raise the limits"
    )
    assert report.attempts == 1
    assert folder.rows() == before
    folder.edit(bind_user=crowd.reader_dn)
    folder.set_password(crowd.reader_password)
    folder.expect_in_sync()


@pytest.mark.parametrize("page_size", [100, 0])
def test_a_limit_of_500_entries_deletes_nobody_of_700(
    make_folder: Callable[..., SyncedFolder], crowd: PrivateSlapd, page_size: int
) -> None:
    """A person who is missing because of a limit is not deleted, whatever the guard allows."""
    folder = make_folder(crowd, max_delete_count=1_000_000, max_delete_share=1)
    assert folder.run().counts.inserted == len(people(crowd))
    change(crowd)
    before = folder.rows()
    folder.edit(bind_user=crowd.limited_dn)
    folder.set_password(crowd.limited_password)
    report = folder.run(page_size=page_size)
    folder.expect_failure(report, "directory.incomplete", "sizeLimitExceeded")
    assert folder.rows() == before
    folder.edit(bind_user=crowd.reader_dn)
    folder.set_password(crowd.reader_password)
    folder.expect_in_sync()


def test_pages_larger_than_the_server_allows(make_folder: Callable[..., SyncedFolder], tmp_path: Path) -> None:
    """The hint names a smaller page size, as the check does, and with it the run succeeds."""
    with PrivateSlapd(tmp_path / "slapd", ldif=people_ldif(MANY), page_size_limit=100) as server:
        folder = make_folder(server, bind_user=server.limited_dn)
        folder.set_password(server.limited_password)
        report = folder.run(page_size=200)
        folder.expect_failure(report, "directory.incomplete", "refused the page size 200", "--page-size 100")
        folder.edit(page_size=100)
        assert folder.run(page_size=200).counts.inserted == len(people(server))


def test_paging_is_off_for_one_definition(make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd) -> None:
    """A definition's page size of 0 is not the default of settings.toml."""
    folder = make_folder(directory, page_size=0)
    logged = folder.run(page_size=10)
    assert logged.counts.inserted == len(people(directory))


@pytest.mark.parametrize("first_load", [True, False])
def test_a_server_killed_between_two_pages_and_started_again(
    make_folder: Callable[..., SyncedFolder],
    directory: PrivateSlapd,
    far_folder: SyncedFolder,
    proxy: Proxy,
    *,
    first_load: bool,
) -> None:
    """The run starts again and succeeds; the entries that its first attempt staged are not used."""
    middle = proxy.measure(far_folder.run)[False] // 2
    if first_load:
        folder = make_folder(directory, query=far_folder.definition.query, tls="none")
    else:
        folder = far_folder
        change(directory)

    def crash() -> None:
        directory.kill()
        directory.start()

    proxy.arm(Fault(Harm.KILL, to_server=False, after=middle), crash)
    report = folder.run()
    assert (report.outcome, report.attempts, report.error) == (Outcome.CHANGED, 2, None)
    counts = report.counts
    expected = (len(people(directory)), 0, 0) if first_load else (1, 1, 1)
    assert (counts.inserted, counts.updated, counts.deleted) == expected
    folder.expect_row(report)
    assert folder.contacts() == people(directory)
    assert folder.run().outcome is Outcome.UNCHANGED


def test_a_server_gone_between_two_pages_for_good(
    far_folder: SyncedFolder, directory: PrivateSlapd, proxy: Proxy
) -> None:
    """The run fails, names the server, and does not use the entries that it has received."""
    middle = proxy.measure(far_folder.run)[False] // 2
    change(directory)
    before = far_folder.rows()
    proxy.arm(Fault(Harm.REFUSE, to_server=False, after=middle))
    report = far_folder.run()
    far_folder.expect_failure(
        report, "directory.unavailable", f":{proxy.port} refused the connection", "Check that the directory runs"
    )
    assert report.attempts == 2
    assert far_folder.rows() == before
    proxy.heal()
    far_folder.expect_in_sync()


@pytest.mark.parametrize("answered", [[], [bind_answer, root_dse_answer]], ids=["at once", "in the search"])
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ([], "directory.timeout", ["did not answer for 0.3 seconds", "raise the receive timeout"]),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "directory.protocol", ["0x48"]),
        ([bytes.fromhex("3084 80000000 020101")], "directory.protocol", ["2147483654 octets"]),
        ([message(3, bytes(100))[:50], CLOSE], "directory.unavailable", ["in the middle of a message"]),
        ([CLOSE], "directory.unavailable", ["closed the connection"]),
    ],
    ids=["silence", "garbage", "2 GiB", "truncated", "hang up"],
)
def test_a_server_that_breaks_off_or_talks_nonsense(
    far_folder: SyncedFolder, proxy: Proxy, answered: list[Answer], answer: list[bytes], code: str, words: list[str]
) -> None:
    """At the first response, or during the search after valid entries."""
    sound = [entry(3, "dc=sound")] if answered else []
    before, real = far_folder.rows(), proxy.target
    with peer(*answered, lambda _: iter([*sound, *answer])) as server:
        proxy.target = server.port
        report = far_folder.run(receive_timeout=5 if answer else 0.3, retry_attempts=1)
        proxy.target = real
    far_folder.expect_failure(report, code, *words)
    assert far_folder.rows() == before
    far_folder.expect_in_sync()


@pytest.mark.parametrize(("code", "words"), [(53, "Unsupported attribute"), (1, "unhandled filter type")])
def test_a_gateway_that_refuses_the_filter_of_the_preset(
    far_folder: SyncedFolder, proxy: Proxy, code: int, words: str
) -> None:
    """The hint says whose filter it is, and gives a simpler one to set."""
    before, real = far_folder.rows(), proxy.target
    with peer(bind_answer, root_dse_answer, answers(contents=result(code, words))) as server:
        proxy.target = server.port
        report = far_folder.run(retry_attempts=1)
        proxy.target = real
    assert (report.outcome, report.error_code) == (Outcome.FAILED, "directory.filter")
    for part in (words, "The filter is the mapping's", "--filter '(objectClass=person)' --filter-only"):
        assert part in (report.error or "")
    assert far_folder.rows() == before
    far_folder.expect_in_sync()


def test_a_server_that_sends_entries_without_end_meets_the_deadline(far_folder: SyncedFolder, proxy: Proxy) -> None:
    """They are not a complete snapshot."""
    before, real = far_folder.rows(), proxy.target
    endless: Answer = lambda number: chain([entry(number, "x")], repeat(entry(number, "x")))  # noqa: E731 -- a script
    with peer(bind_answer, root_dse_answer, endless) as server:
        proxy.target = server.port
        report = far_folder.run(deadline=1)
        proxy.target = real
    far_folder.expect_failure(report, "run.deadline", "deadline of 1 s")
    assert far_folder.rows() == before
    far_folder.expect_in_sync()


def test_a_slow_server_meets_the_deadline(far_folder: SyncedFolder, proxy: Proxy) -> None:
    """Every response comes within the receive timeout, but there are too many."""
    before = far_folder.rows()
    report = far_folder.run(once("search", lambda: setattr(proxy, "pace", 0.02)), deadline=2, page_size=1)
    far_folder.expect_failure(report, "run.deadline", "longer than its deadline of 2 s", "a longer deadline")
    assert 0 < report.counts.entries < 60
    assert far_folder.rows() == before
    proxy.pace = 0
    far_folder.expect_in_sync()


def test_the_deadline_of_the_definition_precedes_the_settings(far_folder: SyncedFolder, proxy: Proxy) -> None:
    """A definition may set the deadline of its own runs."""
    far_folder.edit(deadline_seconds=1)
    proxy.pace = 0.05
    far_folder.expect_failure(far_folder.run(deadline=3600), "run.deadline", "deadline of 1 s")


def test_a_wrong_password_is_tried_once(folder: SyncedFolder) -> None:
    """A retry would lock the account; with the right password the folder gets in sync."""
    before = folder.rows()
    folder.set_password("wrong battery staple")
    report = folder.run()
    folder.expect_failure(report, "directory.credentials", folder.slapd.reader_dn, "Check the user and the password")
    assert report.attempts == 1
    assert "wrong battery staple" not in "".join([*folder.log, repr(folder.row(report.run_id)), repr(report)])
    assert folder.rows() == before
    folder.set_password(folder.slapd.reader_password)
    folder.expect_in_sync()


def test_a_password_sealed_for_another_definition_does_not_open(folder: SyncedFolder) -> None:
    """A copy from another row is refused before anything is sent."""
    before = folder.rows()
    other = replace(folder.definition, definition_id=folder.definition_id + 1)
    sealed = folder.passwords.seal(other, folder.slapd.reader_password)
    folder.edit(password_sealed=sealed)
    report = folder.run()
    folder.expect_failure(report, "secret", "another definition", "Set the password of this definition again")
    assert folder.rows() == before
    folder.set_password(folder.slapd.reader_password)
    folder.expect_in_sync()


def test_a_base_that_does_not_exist(folder: SyncedFolder) -> None:
    """The error names the base and the nearest entry that exists."""
    before = folder.rows()
    folder.edit(base=f"ou=nowhere,{folder.slapd.suffix}")
    report = folder.run()
    folder.expect_failure(
        report, "directory.base", f"ou=nowhere,{folder.slapd.suffix}", f'exists is "{folder.slapd.suffix}"', "Check"
    )
    assert folder.rows() == before
    folder.edit(base=None)
    folder.expect_in_sync()


@pytest.mark.parametrize(
    ("wrong", "right", "code", "words"),
    [
        ({"filter": "(cn=x"}, {"filter": None}, "definition.query", ["The filter", "(cn=x"]),
        ({"filter": "(&(cn=x)(!))"}, {"filter": None}, "definition.query", ['"(!)"', "no operand"]),
        ({"tls_ca_file": "/nowhere.pem"}, None, "definition", ['"/nowhere.pem"', "Correct `tls_ca_file`"]),
        ({"password_sealed": None}, None, "definition", ["has no password", "Set one"]),
        ({"mapping": {"fields": {"shoe_size": "x"}}}, {"mapping": None}, "definition.mapping", ["shoe_size"]),
    ],
    ids=["filter", "empty filter", "authority", "no password", "mapping"],
)
def test_an_invalid_definition_is_marked_until_it_is_valid(
    folder: SyncedFolder, wrong: dict[str, Any], right: dict[str, Any] | None, code: str, words: list[str]
) -> None:
    """The definition's status has the reason until the next successful run."""
    before = folder.rows()
    folder.edit(**wrong)
    report = folder.run()
    folder.expect_failure(report, code, *words)
    assert (folder.status()["state"], folder.status()["reason"]) == ("invalid", report.error)
    assert folder.rows() == before
    folder.edit(**(right or {"tls_ca_file": str(folder.slapd.ca_file)}))
    folder.set_password(folder.slapd.reader_password)
    folder.expect_in_sync()
    assert (folder.status()["state"], folder.status()["reason"]) == ("valid", None)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda tls: make_certificates(tls, names=["elsewhere.example"]), ["another name", "127.0.0.1"]),
        (lambda tls: make_certificates(tls, expires=timedelta(days=-1)), ["has expired", "renew"]),
        (make_self_signed, ["self-signed", "tls_ca_file"]),
    ],
    ids=["other name", "expired", "self-signed"],
)
@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_certificate_that_is_not_valid(
    make_folder: Callable[..., SyncedFolder],
    directory: PrivateSlapd,
    spoil: Callable[[Path], Any],
    words: list[str],
    scheme: str,
) -> None:
    """The run fails at once; with a valid certificate the folder gets in sync."""
    server = f"{scheme}://127.0.0.1:{directory.tls_port if scheme == 'ldaps' else directory.port}"
    folder = make_folder(directory, query=f"{server}/{directory.suffix}")
    folder.run()
    change(directory)
    tls, before = directory.ca_file.parent, folder.rows()
    good = {file: file.read_bytes() for file in tls.iterdir()}
    spoil(tls)
    directory.stop()
    directory.start()
    report = folder.run()
    folder.expect_failure(report, "directory.certificate", "The certificate of", *words)
    assert report.attempts == 1
    assert folder.rows() == before
    # The very same, with all its names: others use this directory after us.
    for file, octets in good.items():
        file.write_bytes(octets)
    directory.stop()
    directory.start()
    folder.expect_in_sync()


@pytest.mark.parametrize("stage", ["connect", "search", "map", "stage", "plan", "apply"])
def test_a_cancelled_run_changes_nothing(folder: SyncedFolder, stage: str) -> None:
    """In whichever stage it is; later runs of the runner are cancelled at their start."""
    before = folder.rows()
    runner = folder.runner()
    report = folder.run(once(stage, runner.cancel_all), runner=runner)
    assert (report.outcome, report.error_code) == (Outcome.CANCELLED, "run.cancelled")
    folder.expect_sentences(report.error, "cancelled before anything was applied")
    folder.expect_row(report)
    assert folder.run(runner=runner).outcome is Outcome.CANCELLED
    assert folder.rows() == before
    folder.expect_in_sync()
