"""Checks of definitions against real servers: good ones, and ones with a single fault."""

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

from contactsync.checks.browser import Level, browse
from contactsync.checks.check import STEPS, check
from contactsync.checks.context import CheckLimits, Preview
from contactsync.checks.result import Status, StepResult
from contactsync.errors import BaseNotFound, DefinitionError, DirectoryError, IncompleteSnapshot
from contactsync.model import Definition, RunReport, Tls
from contactsync.store.record.runs import lock_definition
from contactsync.testing.certificates import make_certificates
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder
from tests.support.peers import Answer, answers, bind_answer, done, peer, root_dse_answer
from tests.support.peers import result as ldap_result

PEOPLE = 60
NAMES = [step.name for step in STEPS]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a server with sixty people for the tests that do not change it."""
    directory = tmp_path_factory.mktemp("checks") / "slapd"
    with PrivateSlapd(directory, ldif=people_ldif(PEOPLE), size_limit=10) as slapd:
        yield slapd


def definition(server: PrivateSlapd, **fields: Any) -> Definition:
    """All people of the server over LDAPS, as the reader; `{0.port}` in a field is its port."""
    usual: dict[str, Any] = {"query": "{0.tls_url}", "user": "{0.reader_dn}", "tls_ca_file": "{0.ca_file}"}
    filled: dict[str, Any] = {
        name: value.format(server) if isinstance(value, str) else value for name, value in (usual | fields).items()
    }
    return Definition(folder_id=0, definition_id=0, folder="Staff", **filled)


def results(
    server: PrivateSlapd,
    *,
    password: str | None = None,
    preview: Preview | None = None,
    limits: CheckLimits | None = None,
    connect_timeout: float = BRISK.connect_timeout,
    **fields: Any,
) -> dict[str, StepResult]:
    """The results of all steps, none of which may contain the password."""
    used, options = password or server.reader_password, replace(BRISK, connect_timeout=connect_timeout)
    steps = check(definition(server, **fields), lambda: used, options, preview=preview, limits=limits or CheckLimits())
    found = {step.name: step for step in steps}
    assert list(found) == NAMES
    assert used not in repr(found)
    for result in found.values():
        assert result.text.endswith((".", ")"))
        if result.status is Status.FAILED:
            assert result.data["error_code"] if result.blocking else result.hint
    return found


def statuses(found: dict[str, StepResult], status: Status) -> set[str]:
    """The names of the steps with this status."""
    return {name for name, result in found.items() if result.status is status}


def expect_end(found: dict[str, StepResult], name: str, *words: str) -> None:
    """The step failed with these words, and only the steps after it are skipped."""
    assert statuses(found, Status.FAILED) == {name}, found
    for word in words:
        assert word in f"{found[name].text} {found[name].hint}"
    for later in NAMES[NAMES.index(name) + 1 :]:
        assert found[later].status is Status.SKIPPED
        if later != "deleted_objects":
            assert "failed" in found[later].text


def test_a_good_definition_passes_every_step(server: PrivateSlapd) -> None:
    """Only the step for Active Directory is skipped."""
    found = results(server)

    assert statuses(found, Status.SKIPPED) == {"deleted_objects"}
    assert statuses(found, Status.OK) == set(NAMES) - {"deleted_objects"}
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


def test_the_definition_is_shown_in_full(server: PrivateSlapd) -> None:
    """The query in its canonical form, and the next three runs in order."""
    step = results(server, query="localhost:{0.tls_port}", tls=Tls.LDAPS, schedule="@hourly")["definition"]

    assert step.data["query"] == f"ldap://localhost:{server.tls_port}"
    assert len(step.data["next_runs"]) == 3
    assert step.data["next_runs"] == sorted(set(step.data["next_runs"]))
    assert results(server, schedule="manual")["definition"].data["next_runs"] == []


def test_all_invalid_fields_are_reported_and_the_others_are_checked(server: PrivateSlapd) -> None:
    """An invalid schedule blocks no step; an invalid filter or mapping only the steps that need it."""
    found = results(server, schedule="often", filter="(mail=x", mapping={"nonsense": 1})

    for word in ("often", "(mail=x", "nonsense"):
        assert word in found["definition"].text
    assert found["definition"].status is Status.FAILED
    assert found["base"].status is Status.OK
    assert statuses(found, Status.SKIPPED) > {"filter", "identity", "sample", "plan"}
    assert '"Definition" failed' in found["filter"].text
    found = results(server, mapping={"fields": {"shoe_size": "x"}})
    assert (found["filter"].status, found["sample"].status) == (Status.OK, Status.SKIPPED)


@pytest.mark.parametrize(
    ("step", "fields", "words"),
    [
        ("definition", {"query": "http://localhost"}, ["http", "ldaps://"]),
        ("bind", {"password": "correct horse battery staple"}, ["cn=reader", "invalidCredentials"]),
        ("base", {"base": "ou=Sales,ou=poeple,{0.suffix}"}, ["ou=poeple", '"dc=example,dc=test"']),
        # Anonymous users are accepted and see the root DSE, but no base.
        ("base", {"user": None, "query": "{0.url}"}, ["may not read it"]),
    ],
)
def test_a_single_fault_fails_its_step(
    server: PrivateSlapd, step: str, fields: dict[str, Any], words: list[str]
) -> None:
    """And ends the check there, with what to do."""
    expect_end(results(server, **fields), step, *words)


def test_a_wrong_port_fails_at_tcp(server: PrivateSlapd, closed_port: int) -> None:
    """The host is found, but its port refuses the connection."""
    found = results(server, query=f"ldaps://localhost:{closed_port}")
    expect_end(found, "tcp", f"ldaps://localhost:{closed_port} refused", f"listens on port {closed_port}.")
    assert found["dns"].status is Status.OK


def test_a_silent_server_fails_after_the_time_out(server: PrivateSlapd) -> None:
    """It accepts the connection and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = results(server, query=f"ldaps://localhost:{silent.getsockname()[1]}", connect_timeout=1)

    expect_end(found, "tls", "did not finish the TLS handshake within 1 second")


def test_a_server_that_is_down_is_a_warning_while_another_answers(server: PrivateSlapd, closed_port: int) -> None:
    """A run would use the other as well."""
    found = results(server, query=f"ldaps://localhost:{closed_port} {server.tls_url}")

    assert statuses(found, Status.WARNING) == {"tcp"}
    assert not statuses(found, Status.FAILED)
    assert [("error" in each) for each in found["tcp"].data["addresses"]] == [True, False]


def test_a_server_with_an_invalid_certificate_is_skipped(
    server: PrivateSlapd, make_slapd: Callable[..., PrivateSlapd], tmp_path: Path
) -> None:
    """The check goes on with the next one and shows the reason."""
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
def test_an_invalid_certificate_is_shown(
    make_slapd: Callable[..., PrivateSlapd], tmp_path: Path, names: list[str], expires: timedelta, word: str
) -> None:
    """Its names, its issuer and its dates; its authority is known."""
    found = results(make_slapd(certificates=make_certificates(tmp_path / "tls", names=names, expires=expires)))

    expect_end(found, "tls", word)
    own = found["tls"].data["chain"][0]
    assert own["names"] == names
    assert own["issuer"] == "CN=contactsync private authority"
    assert "unknown authority" not in "".join(found["tls"].details)


@pytest.mark.parametrize("query", ["{0.tls_url}", "localhost:{0.port}"])
def test_an_unknown_authority_is_named_with_its_fingerprint(server: PrivateSlapd, query: str) -> None:
    """By LDAPS and by StartTLS."""
    found = results(server, tls_ca_file=None, query=query)

    expect_end(found, "tls", "not trusted", "tls_ca_file")
    certificate = ssl.PEM_cert_to_DER_cert(server.ca_file.read_text())
    fingerprint = hashlib.sha256(certificate).digest().hex(":").upper()
    assert any("CN=contactsync private authority" in line for line in found["tls"].details)
    assert found["tls"].details[-1] == fingerprint == found["tls"].data["chain"][-1]["sha256"]


def test_a_certificate_that_expires_soon_is_a_warning(make_slapd: Callable[..., PrivateSlapd], tmp_path: Path) -> None:
    """Thirty days before; everything works until then."""
    found = results(make_slapd(certificates=make_certificates(tmp_path / "tls", expires=timedelta(days=20))))

    assert found["tls"].status is Status.WARNING
    assert "in 19 days" in found["tls"].text
    assert found["bind"].status is Status.OK


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"tls_verify": False, "tls_ca_file": None}, "NOT verified"),
        ({"query": "{0.url}", "tls": Tls.NONE}, "plain text"),
    ],
)
def test_a_connection_that_is_not_protected_is_a_warning(
    server: PrivateSlapd, fields: dict[str, Any], word: str
) -> None:
    """The bind works."""
    found = results(server, **fields)
    assert (found["tls"].status, found["bind"].status) == (Status.WARNING, Status.OK)
    assert word in found["tls"].text


def test_a_user_without_a_password_fails_at_the_bind(server: PrivateSlapd) -> None:
    """The bind would be anonymous, and would succeed."""
    expect_end({each.name: each for each in check(definition(server), lambda: None, BRISK)}, "bind", "no password")


def test_a_filter_that_finds_nothing_is_a_warning(server: PrivateSlapd) -> None:
    """As with an unknown attribute."""
    found = results(server, filter="(mial=*)")

    assert found["filter"].status is Status.WARNING
    assert "spelling" in found["filter"].hint
    assert found["identity"].status is found["sample"].status is Status.SKIPPED


def test_nothing_beside_a_message_fails_as_in_a_run(server: PrivateSlapd) -> None:
    """A directory that is being rebuilt says success, nothing, and why; also before the definition is stored."""
    nothing: Answer = lambda number: iter([done(number, ldap_result(0, "results are incomplete"))])  # noqa: E731
    with peer(bind_answer, root_dse_answer, answers({"cn": ["base"]}), nothing) as rebuilt:
        query = f"ldap://127.0.0.1:{rebuilt.port}/dc=example,dc=test"
        found = results(server, query=query, user=None, tls=Tls.NONE, tls_ca_file=None)
    assert statuses(found, Status.FAILED) == {"filter"}
    assert 'found nothing and said: "results are incomplete"' in found["filter"].text
    assert "may be incomplete" in found["filter"].hint
    assert found["filter"].data["error_code"] == IncompleteSnapshot.code


def test_the_empty_base_is_sent_as_such(server: PrivateSlapd) -> None:
    """It is not the server's default. This server does not search from there, and the check says so as a run does."""
    found = results(server, base="")
    assert (found["base"].data["base"], found["base"].data["chosen_from"]) == ("", "from the definition")
    assert found["filter"].data["error_code"] == "directory.base"


def test_a_filter_of_entries_that_the_mapping_excludes_is_a_warning(server: PrivateSlapd) -> None:
    """The hint is the switch, and with it the check finds them."""
    found = results(server, filter="(objectClass=organizationalUnit)")
    assert (found["filter"].status, found["filter"].data["entries"]) == (Status.WARNING, 0)
    assert "--filter-only" in found["filter"].hint
    assert "narrows the mapping's" in found["filter"].text


def test_the_filter_scope_and_base_of_the_definition_are_used(server: PrivateSlapd) -> None:
    """One level below the people's base are seven departments."""
    found = results(server, base="{0.people_base}", scope="one", filter="(ou=*)", filter_only=True)

    assert found["filter"].data["entries"] == 7
    assert found["filter"].data["unusual"] == {"organizational unit": 7}
    assert "--no-filter-only" in found["filter"].hint
    assert found["base"].text.startswith(f"{server.people_base} (from the definition), one level")


def test_a_size_limit_that_ends_the_search_is_a_failure(server: PrivateSlapd) -> None:
    """A run would fail too."""
    found = results(server, user="{0.limited_dn}", password=server.limited_password)

    assert statuses(found, Status.FAILED) == {"paging"}
    assert "10 entries: sizeLimitExceeded (4)" in found["paging"].text
    assert found["filter"].text.endswith("at least 10 entries.")
    assert found["plan"].status is Status.SKIPPED
    assert found["sample"].status is Status.OK


def test_counting_stops_at_its_limit_and_leaves_the_connection_usable(server: PrivateSlapd) -> None:
    """A large directory is not read to its end."""
    found = results(server, limits=CheckLimits(count_entries=20), page_size=10)

    assert found["filter"].data == found["filter"].data | {"entries": 20, "complete": False}
    assert "at least 20" in found["plan"].text
    assert found["sample"].status is Status.OK


def test_an_identity_that_is_not_unique_is_a_failure(server: PrivateSlapd) -> None:
    """Two people would become one contact."""
    step = results(server, mapping={"identity": "l"})["identity"]
    assert step.status is Status.FAILED
    assert step.data["double"]


def test_entries_without_an_identity_are_a_warning(server: PrivateSlapd) -> None:
    """They are named with the reason of a run."""
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
    """Since the last run one entry was added, one deleted and one changed; the check changes nothing."""
    before = folder.rows()
    plan = plan_of(folder)

    assert plan.status is Status.OK
    assert (plan.data["inserts"], plan.data["updates"], plan.data["deletes"]) == (1, 1, 1)
    assert folder.rows() == before


def test_a_plan_that_would_be_held_is_a_warning_with_the_reason(folder: SyncedFolder) -> None:
    """The definition is valid, but its run needs approval."""
    folder.edit(filter="(uid=u000001)")
    plan = plan_of(folder)

    assert plan.status is Status.WARNING
    assert "The query was edited" in plan.hint


def test_a_plan_is_skipped_during_a_run(folder: SyncedFolder) -> None:
    """The run has locked the definition."""
    with folder.connection() as connection:
        lock_definition(connection, folder.definition)
        plan = plan_of(folder)

    assert plan.status is Status.SKIPPED
    assert "another process" in plan.text


def browsed(server: PrivateSlapd, base: str | None = None, *, limit: int = 100, **fields: Any) -> Level:
    """The only level of a view."""
    wanted = definition(server, **fields)
    (level,) = browse(wanted, lambda: server.reader_password, BRISK, base=base, limit=limit).levels
    return level


def test_browsing_starts_at_the_naming_contexts(server: PrivateSlapd) -> None:
    """Entries with children come first, with their number."""
    level = browsed(server)

    assert level.base == server.suffix
    assert [(node.rdn, node.below) for node in level.nodes] == [("ou=people", 7), ("cn=limited", 0), ("cn=reader", 0)]
    assert not level.more


def test_browsing_shows_people_as_contacts(server: PrivateSlapd) -> None:
    """Also for a base with spaces; entries above the limit are not shown."""
    level = browsed(server, f"ou=Sales , ou=people, {server.suffix}", limit=3)

    assert level.base == f"ou=Sales,ou=people,{server.suffix}"
    assert (len(level.nodes), level.more) == (3, True)
    assert {node.object_class for node in level.nodes} == {"inetOrgPerson"}
    assert any("@example.test>" in (node.contact or "") for node in level.nodes)


def test_browsing_shows_as_contacts_only_what_the_filter_matches(server: PrivateSlapd) -> None:
    """The definition's own filter."""
    level = browsed(server, f"ou=Sales,ou=people,{server.suffix}", filter="(uid=u000002)")
    assert [node.rdn for node in level.nodes if node.contact] == ["uid=u000002"]


def test_browsing_names_the_entries_above(server: PrivateSlapd) -> None:
    """Down from the naming context, which has its whole DN, in the spelling of the base that was given."""
    people = f"ou=people,{server.suffix}"
    assert browsed(server).above == ()
    above = browsed(server, f"OU=sales,{people}").above
    assert [(each.dn, each.rdn) for each in above] == [(server.suffix, server.suffix), (people, "ou=people")]


def test_browsing_counts_references_and_does_not_follow_them(server: PrivateSlapd) -> None:
    """A reference below the base is counted; one at the base is an error that names the other server."""
    elsewhere, name = "ldap://elsewhere.example.com/ou=branch", f"ou=branch,{server.suffix}"
    referral = {"ou": "branch", "ref": elsewhere}
    manage = [("2.16.840.1.113730.3.4.2", True, None)]  # ManageDsaIT (RFC 3296)
    connection = server.connection()
    assert connection.add(name, ["referral", "extensibleObject"], referral), connection.result
    try:
        level = browsed(server)
        with pytest.raises(DirectoryError, match=r"elsewhere\.example\.com"):
            browsed(server, name)
    finally:
        connection.delete(name, controls=manage)
        connection.unbind()
    assert level.references == 1
    assert [node.rdn for node in level.nodes] == ["ou=people", "cn=limited", "cn=reader"]


def test_browsing_an_invalid_or_unknown_base_is_an_error(server: PrivateSlapd) -> None:
    """The base is not a DN, or names no entry; a user needs a password."""
    with pytest.raises(DefinitionError, match="people"):
        browsed(server, "people")
    with pytest.raises(BaseNotFound, match="ou=nobody"):
        browsed(server, f"ou=nobody,{server.suffix}")
    with pytest.raises(DefinitionError, match="no password"):
        browse(replace(definition(server), password_ref=None), lambda: None, BRISK, base=None, limit=100)
