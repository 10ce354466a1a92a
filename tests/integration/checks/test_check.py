"""A check of definitions against real servers, good ones and such as have one thing wrong with them."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contactsync.checks.browser import browse
from contactsync.checks.check import STEPS, check
from contactsync.checks.context import CheckLimits, Preview
from contactsync.checks.result import Status, StepResult
from contactsync.errors import BaseNotFound, DefinitionError
from contactsync.model import Definition, RunReport, Tls
from contactsync.store.record.runs import lock_definition
from contactsync.testing.certificates import make_certificates
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder

PEOPLE = 60
WRONG_PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run one server with sixty people, for the tests that leave it as it is."""
    directory = tmp_path_factory.mktemp("doctor") / "slapd"
    with PrivateSlapd(directory, ldif=people_ldif(PEOPLE), size_limit=10) as slapd:
        yield slapd


def definition(server: PrivateSlapd, **fields: Any) -> Definition:
    """Read all people of the server over LDAPS, as the reader."""
    usual: dict[str, Any] = {
        "query": server.tls_url,
        "user": server.reader_dn,
        "tls_ca_file": str(server.ca_file),
    }
    return Definition(folder_id=0, definition_id=0, folder="Staff", **(usual | fields))


def results(
    server: PrivateSlapd,
    *,
    password: str | None = None,
    preview: Preview | None = None,
    limits: CheckLimits | None = None,
    **fields: Any,
) -> dict[str, StepResult]:
    """Walk the whole way; what each step found, none of which may hold a password."""
    known = password or server.reader_password
    found = list(
        check(definition(server, **fields), lambda: known, BRISK, preview=preview, limits=limits or CheckLimits())
    )
    assert [result.name for result in found] == [step.name for step in STEPS]
    assert known not in repr(found)
    for result in found:
        assert result.text.endswith((".", ")"))
        if result.status is Status.FAILED:
            assert result.data["error_code"] if result.blocking else result.hint
    return {result.name: result for result in found}


def statuses(found: dict[str, StepResult], status: Status) -> set[str]:
    """The names of the steps that ended so."""
    return {name for name, result in found.items() if result.status is status}


def expect_end(found: dict[str, StepResult], name: str, *words: str) -> None:
    """This step failed, said so with these words, and took with it all that come after but not those before."""
    names = [step.name for step in STEPS]
    assert statuses(found, Status.FAILED) == {name}, found
    for word in words:
        assert word in f"{found[name].text} {found[name].hint}"
    for later in names[names.index(name) + 1 :]:
        assert found[later].status is Status.SKIPPED
        if later != "deleted_objects":
            assert "failed" in found[later].text


def test_a_good_definition_passes_every_step(server: PrivateSlapd) -> None:
    """Only what the server is not is skipped; a sample of five and the first plan are shown."""
    found = results(server)

    assert statuses(found, Status.SKIPPED) == {"deleted_objects"}
    assert statuses(found, Status.OK) == {step.name for step in STEPS} - {"deleted_objects"}
    assert found["root_dse"].data["product"] == "OpenLDAP"
    assert found["root_dse"].data["controls"] == ["paging (RFC 2696)"]
    assert found["base"].data["base"] == server.suffix
    assert found["filter"].data["entries"] == PEOPLE
    assert found["identity"].data["identity"] == ["entryUUID"]
    assert found["paging"].data["pages"] == [25, 25]
    assert found["plan"].data["inserts"] == PEOPLE
    contacts = found["sample"].data["contacts"]
    assert len(contacts) == 5
    assert all(contact["name"] and contact["dn"].endswith(server.suffix) for contact in contacts)


def test_the_definition_is_shown_as_it_is_understood(server: PrivateSlapd) -> None:
    """The query in its full form, and the next three runs, later and later."""
    step = results(server, query=f"localhost:{server.tls_port}", tls=Tls.LDAPS, schedule="@hourly")["definition"]

    assert step.data["query"] == f"ldap://localhost:{server.tls_port}"
    assert len(step.data["next_runs"]) == 3
    assert step.data["next_runs"] == sorted(set(step.data["next_runs"]))
    assert results(server, schedule="manual")["definition"].data["next_runs"] == []


def test_fields_that_make_no_sense_are_told_all_at_once_and_the_others_are_looked_at(server: PrivateSlapd) -> None:
    """A wrong schedule keeps nobody from the directory; a wrong filter or mapping only from what needs it."""
    found = results(server, schedule="often", filter="(mail=x", mapping={"nonsense": 1})

    for word in ("often", "(mail=x", "nonsense"):
        assert word in found["definition"].text
    assert found["definition"].status is Status.FAILED
    assert found["base"].status is Status.OK
    assert statuses(found, Status.SKIPPED) > {"filter", "identity", "sample", "plan"}
    assert '"Definition" failed' in found["filter"].text


def test_a_wrong_mapping_leaves_the_filter(server: PrivateSlapd) -> None:
    """What the search finds can be counted without it, the sample cannot."""
    found = results(server, mapping={"fields": {"shoe_size": "x"}})

    assert found["filter"].status is Status.OK
    assert found["sample"].status is Status.SKIPPED


def test_a_query_that_makes_no_sense_ends_it(server: PrivateSlapd) -> None:
    """Nobody can be asked; the hint shows the forms that a query has."""
    expect_end(results(server, query="http://localhost"), "definition", "http", "ldaps://")


def test_a_wrong_port_is_told_at_tcp(server: PrivateSlapd) -> None:
    """The name was good, the port refuses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = results(server, query=f"ldaps://localhost:{probe.getsockname()[1]}")

    expect_end(found, "tcp", "refused", "port")
    assert found["dns"].status is Status.OK


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_allowed(server: PrivateSlapd) -> None:
    """It takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = results(server, query=f"ldaps://localhost:{silent.getsockname()[1]}")

    expect_end(found, "tls", "did not finish the TLS handshake within 3 seconds")


def test_a_server_that_is_down_is_a_warning_while_another_answers(server: PrivateSlapd) -> None:
    """A run would pass it over as well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        down = f"ldaps://localhost:{probe.getsockname()[1]}"
        found = results(server, query=f"{down} {server.tls_url}")

    assert statuses(found, Status.WARNING) == {"tcp"}
    assert not statuses(found, Status.FAILED)
    assert [("error" in each) for each in found["tcp"].data["addresses"]] == [True, False]


def test_a_server_with_a_bad_certificate_is_passed_over(
    server: PrivateSlapd, make_slapd: Callable[..., PrivateSlapd], tmp_path: Path
) -> None:
    """The next one is bound to, and the reason is shown."""
    expired = make_slapd(certificates=make_certificates(tmp_path / "tls", expires=timedelta(days=-1)))
    both = tmp_path / "both.crt"
    both.write_text(server.ca_file.read_text() + expired.ca_file.read_text())
    found = results(server, query=f"{expired.tls_url} {server.tls_url}", tls_ca_file=str(both))

    assert statuses(found, Status.WARNING) == {"tls"}
    assert "expired" in found["tls"].details[-1]
    assert found["bind"].data["server"] == server.tls_url


@pytest.mark.parametrize(
    ("names", "expires", "word"),
    [
        (["ldap.example.test"], timedelta(days=90), "another name"),
        (["localhost"], timedelta(days=-2), "expired"),
    ],
)
def test_a_certificate_that_does_not_hold_is_shown_all_the_same(
    make_slapd: Callable[..., PrivateSlapd], tmp_path: Path, names: list[str], expires: timedelta, word: str
) -> None:
    """Its names, its issuer and its dates; the authority is not what is missing."""
    bad = make_slapd(certificates=make_certificates(tmp_path / "tls", names=names, expires=expires))
    found = results(bad)

    expect_end(found, "tls", word)
    own = found["tls"].data["chain"][0]
    assert own["names"] == names
    assert own["issuer"] == "CN=contactsync private authority"
    assert "unknown authority" not in "".join(found["tls"].details)


@pytest.mark.parametrize("starttls", [False, True])
def test_an_unknown_authority_is_named_with_what_it_takes_to_trust_it(server: PrivateSlapd, *, starttls: bool) -> None:
    """By LDAPS and by StartTLS; the fingerprint is that of the file that is missing."""
    found = results(server, tls_ca_file=None, query=f"localhost:{server.port}" if starttls else server.tls_url)

    expect_end(found, "tls", "not trusted", "tls_ca_file")
    authority = fingerprint_of(server.ca_file)
    assert any("CN=contactsync private authority" in line for line in found["tls"].details)
    assert found["tls"].details[-1] == authority == found["tls"].data["chain"][-1]["sha256"]


def fingerprint_of(path: Path) -> str:
    """The SHA-256 of a certificate, in the form in which openssl prints it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).digest().hex(":").upper()


def test_a_certificate_that_ends_soon_is_a_warning(make_slapd: Callable[..., PrivateSlapd], tmp_path: Path) -> None:
    """Thirty days ahead; everything works until then."""
    server = make_slapd(certificates=make_certificates(tmp_path / "tls", expires=timedelta(days=20)))
    found = results(server)

    assert found["tls"].status is Status.WARNING
    assert "in 19 days" in found["tls"].text
    assert found["bind"].status is Status.OK


def test_a_check_of_certificates_that_is_off_is_a_warning(server: PrivateSlapd) -> None:
    """And so is a password in plain text."""
    assert results(server, tls_verify=False, tls_ca_file=None)["tls"].status is Status.WARNING
    plain = results(server, query=server.url, tls=Tls.NONE)
    assert plain["tls"].status is Status.WARNING
    assert "plain text" in plain["tls"].text
    assert plain["bind"].status is Status.OK


def test_a_wrong_password_is_told_at_the_bind(server: PrivateSlapd) -> None:
    """With the user's name, not with the password."""
    found = results(server, password=WRONG_PASSWORD)

    expect_end(found, "bind", server.reader_dn, "invalidCredentials")
    assert found["bind"].data["error_code"] == "directory.credentials"


def test_a_user_without_a_password_is_told_at_the_bind(server: PrivateSlapd) -> None:
    """It would be taken for anonymous, which looks like success."""
    found = {each.name: each for each in check(definition(server), lambda: None, BRISK)}

    expect_end(found, "bind", "no password")


def test_a_base_that_does_not_exist_is_told_with_the_nearest_that_does(server: PrivateSlapd) -> None:
    """A typing mistake in one part of it."""
    found = results(server, base=f"ou=Sales,ou=poeple,{server.suffix}")

    expect_end(found, "base", "ou=poeple", f"'{server.suffix}'")


def test_a_filter_that_finds_nobody_is_a_warning(server: PrivateSlapd) -> None:
    """As for an attribute that the server does not know."""
    found = results(server, filter="(mial=*)")

    assert found["filter"].status is Status.WARNING
    assert "spelling" in found["filter"].hint
    assert found["identity"].status is found["sample"].status is Status.SKIPPED


def test_the_filter_scope_and_base_of_the_definition_are_those_that_are_counted(server: PrivateSlapd) -> None:
    """One level below the people's base are seven departments and nobody."""
    found = results(server, base=server.people_base, scope="one", filter="(ou=*)")

    assert found["filter"].data["entries"] == 7
    assert found["base"].text.startswith(f"{server.people_base} (from the definition), one level")


def test_a_size_limit_that_cuts_the_search_is_a_failure(server: PrivateSlapd) -> None:
    """A run would not believe such a search either; the limit and the server's word are named."""
    found = results(server, user=server.limited_dn, password=server.limited_password)

    assert statuses(found, Status.FAILED) == {"paging"}
    assert "10 entries: sizeLimitExceeded (4)" in found["paging"].text
    assert found["filter"].text.endswith("at least 10 entries.")
    assert found["plan"].status is Status.SKIPPED
    assert found["sample"].status is Status.OK


def test_counting_stops_when_enough_was_seen_and_the_connection_is_good_afterwards(server: PrivateSlapd) -> None:
    """A large directory is not read to its end."""
    found = results(server, limits=CheckLimits(count_entries=20), page_size=10)

    assert found["filter"].data == found["filter"].data | {"entries": 20, "complete": False}
    assert "at least 20" in found["plan"].text
    assert found["sample"].status is Status.OK


def test_anonymous_users_who_may_see_nothing_are_told_so(server: PrivateSlapd) -> None:
    """They are let in and see the root DSE, and then no base."""
    found = results(server, user=None, query=server.url)

    assert found["tls"].status is Status.SKIPPED
    assert found["bind"].status is found["root_dse"].status is Status.OK
    expect_end(found, "base", "may not read it")


def test_an_identity_that_is_not_unique_is_a_failure(server: PrivateSlapd) -> None:
    """Two people would become one contact."""
    step = results(server, mapping={"identity": "l"})["identity"]
    assert step.status is Status.FAILED
    assert step.data["double"]


def test_entries_without_an_identity_are_a_warning_with_their_names(server: PrivateSlapd) -> None:
    """They would be rejected, by the same reason as in a run."""
    found = results(server, mapping={"identity": "mail"})

    assert found["identity"].status is found["sample"].status is Status.WARNING
    rejected = found["sample"].data["rejected"]
    assert rejected
    assert all("mail" in each["reason"] for each in rejected)


def plan_of(folder: SyncedFolder) -> StepResult:
    """The last step of the check of a stored definition."""
    runner, stored = folder.runner(), folder.definition

    def preview() -> RunReport:
        return runner.preview(folder.definition, limit=0).report

    *_, plan = check(stored, lambda: runner.passwords.read(stored), BRISK, preview=preview)
    assert plan.name == "plan"
    return plan


def test_the_plan_of_a_stored_definition_is_the_real_one(folder: SyncedFolder) -> None:
    """Somebody came, left and changed since; the check leaves everything as it was."""
    before = folder.rows()
    plan = plan_of(folder)

    assert plan.status is Status.OK
    assert (plan.data["inserts"], plan.data["updates"], plan.data["deletes"]) == (1, 1, 1)
    assert folder.rows() == before


def test_a_plan_that_would_be_held_is_a_warning_with_the_reason(folder: SyncedFolder) -> None:
    """Nothing is wrong with the definition; somebody has to look at it."""
    folder.edit(filter="(uid=u000001)")
    plan = plan_of(folder)

    assert plan.status is Status.WARNING
    assert "The query was edited" in plan.hint


def test_a_plan_is_left_out_while_a_run_goes_on(folder: SyncedFolder) -> None:
    """The definition's lock is taken; that is no fault of the definition's."""
    with folder.connection() as connection:
        lock_definition(connection, folder.definition)
        plan = plan_of(folder)

    assert plan.status is Status.SKIPPED
    assert "right now" in plan.text


def test_browsing_starts_at_the_naming_contexts(server: PrivateSlapd) -> None:
    """What has something below it comes first, with how much."""
    view = browse(definition(server), lambda: server.reader_password, BRISK, base=None, limit=100)

    (level,) = view.levels
    assert level.base == server.suffix
    assert [(node.rdn, node.below) for node in level.nodes] == [("ou=people", 7), ("cn=limited", 0), ("cn=reader", 0)]
    assert not level.more


def test_browsing_shows_people_as_the_contacts_that_they_would_be(server: PrivateSlapd) -> None:
    """A base may be typed with spaces; more than the limit is said, not shown."""
    typed = f"ou=Sales , ou=people, {server.suffix}"
    view = browse(definition(server), lambda: server.reader_password, BRISK, base=typed, limit=3)

    (level,) = view.levels
    assert level.base == f"ou=Sales,ou=people,{server.suffix}"
    assert (len(level.nodes), level.more) == (3, True)
    assert {node.object_class for node in level.nodes} == {"inetOrgPerson"}
    assert any("@example.test>" in (node.contact or "") for node in level.nodes)


def test_browsing_shows_as_contacts_only_whom_the_filter_finds(server: PrivateSlapd) -> None:
    """The definition's own filter."""
    wanted = definition(server, filter="(uid=u000002)")
    view = browse(wanted, lambda: server.reader_password, BRISK, base=f"ou=Sales,ou=people,{server.suffix}", limit=100)

    assert [node.rdn for node in view.levels[0].nodes if node.contact] == ["uid=u000002"]


def test_browsing_a_base_that_is_none_or_not_there_says_so(server: PrivateSlapd) -> None:
    """What was typed is no DN, or names nothing."""
    wanted = definition(server)
    with pytest.raises(DefinitionError, match="people"):
        browse(wanted, lambda: server.reader_password, BRISK, base="people", limit=100)
    with pytest.raises(BaseNotFound, match="ou=nobody"):
        browse(wanted, lambda: server.reader_password, BRISK, base=f"ou=nobody,{server.suffix}", limit=100)
    with pytest.raises(DefinitionError, match="no password"):
        browse(replace(wanted, password_ref=None), lambda: None, BRISK, base=None, limit=100)
