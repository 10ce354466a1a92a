"""Sign-in with a password of the directory: what is right, what is wrong, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contactsync.errors import CertificateRefused, ServerUnavailable, SettingsError
from contactsync.settings.loader import load_settings
from contactsync.testing.slapd import PrivateSlapd
from contactsync.web.sessions import REFRESH_SECONDS, Session
from contactsync.web.signin.directory import DirectorySignIn
from tests.support.accounts import PASSWORDS, Accounts
from tests.support.resources import short_directory

ADDRESS = "192.0.2.7"
HOSTILE = "o*b(rien)\\"


@pytest.fixture(scope="module")
def accounts() -> Iterator[Accounts]:
    """Start a slapd whose people have passwords, where everybody may read what is not a password."""
    with short_directory() as place, PrivateSlapd(place / "slapd") as slapd:
        accounts = Accounts(slapd, place)
        yield accounts
        accounts.close()


def directory(accounts: Accounts, now: list[float] | None = None, /, **changes: str) -> DirectorySignIn:
    """The directory with these settings; `now` is the time of its clock."""
    settings = load_settings(Path("/dev/null"), {"STATE_DIRECTORY": "/srv", **accounts.settings(**changes)})
    return DirectorySignIn(settings, (lambda: now[0]) if now else (lambda: 0.0))


def test_the_right_password_gives_the_person_with_the_groups(accounts: Accounts) -> None:
    """Under the name of the directory, whatever was typed. Administrators are those of the group."""
    anna = directory(accounts).sign_in(" ANNA ", PASSWORDS["anna"], ADDRESS)
    assert anna
    assert (anna.user, anna.admin, anna.how, anna.address) == ("anna", True, "directory", ADDRESS)
    assert set(anna.groups) == {accounts.group("admins"), accounts.group("sales")}
    bert = directory(accounts).sign_in("bert", PASSWORDS["bert"], ADDRESS)
    assert bert
    assert (bert.user, bert.admin, bert.groups) == ("bert", False, ())


@pytest.mark.parametrize("name", ["anna", "bert", "nobody"])
def test_an_empty_or_wrong_password_is_refused(accounts: Accounts, name: str) -> None:
    """A server takes an empty one for an anonymous bind, and so for a success (RFC 4513, section 5.1.2)."""
    for password in ("", "wrong", PASSWORDS["jörg"]):
        assert directory(accounts).sign_in(name, password, ADDRESS) is None
        own = directory(accounts, USER="", PASSWORD_FILE="", BIND_AS=f"uid={{name}},{accounts.base}")
        assert own.sign_in(name, password, ADDRESS) is None


@pytest.mark.parametrize(
    "name", ["*", "ann*", "anna)(uid=*", "x)(|(uid=anna)", "\\61nna", "cn=person0", "an\x00na", ""]
)
def test_a_name_cannot_become_another_filter(accounts: Accounts, name: str) -> None:
    """With the password of a person whom the other filter would find."""
    assert directory(accounts).sign_in(name, PASSWORDS["anna"], ADDRESS) is None


def test_a_name_cannot_become_another_dn(accounts: Accounts) -> None:
    """Its commas are escaped where people bind as themselves; a hostile but real name signs in."""
    assert directory(accounts).sign_in(HOSTILE, PASSWORDS[HOSTILE], ADDRESS)
    base = accounts.base.partition(",")[2]
    own = directory(
        accounts, USER="", PASSWORD_FILE="", BIND_AS=f"cn={{name}},{base}", FILTER="(|(uid=anna)(cn={name}))"
    )
    assert own.sign_in("person0,ou=accounts", PASSWORDS["anna"], ADDRESS) is None
    own = directory(accounts, USER="", PASSWORD_FILE="", BIND_AS=f"cn={{name}},{accounts.base}", FILTER="(cn={name})")
    person = own.sign_in("person0", PASSWORDS["anna"], ADDRESS)
    assert person
    assert (person.user, person.admin) == ("anna", True)


def test_a_name_cannot_become_another_user_of_active_directory(accounts: Accounts) -> None:
    """Where the template is no DN, signs that are in no name are refused."""
    own = directory(accounts, USER="", PASSWORD_FILE="", BIND_AS="{name}", FILTER="(|(uid=anna)(cn={name}))")
    assert own.sign_in(accounts.dn("anna"), PASSWORDS["anna"], ADDRESS) is None


def test_two_entries_with_one_name_are_refused(accounts: Accounts) -> None:
    """It would not be clear who that is."""
    everybody = directory(accounts, FILTER="(|(uid={name})(uid=bert))")
    assert everybody.sign_in("anna", PASSWORDS["anna"], ADDRESS) is None
    assert everybody.sign_in("bert", PASSWORDS["bert"], ADDRESS)


def test_only_members_of_the_groups_may_sign_in(accounts: Accounts) -> None:
    """Administrators always may."""
    sales = directory(accounts, MEMBERS=f"cn=none,{accounts.base}; {accounts.group('sales').upper()}")
    assert sales.sign_in("bert", PASSWORDS["bert"], ADDRESS) is None
    assert sales.sign_in("jörg", PASSWORDS["jörg"], ADDRESS)
    assert directory(accounts, MEMBERS=f"cn=none,{accounts.base}").sign_in("anna", PASSWORDS["anna"], ADDRESS)


def test_groups_are_read_again_after_fifteen_minutes(accounts: Accounts) -> None:
    """A person who left the group of the administrators is none any more; one who left all groups is signed out."""
    now = [1.0]
    sales = directory(accounts, now, MEMBERS=accounts.group("sales"))
    accounts.join("jörg", "admins")
    person = sales.sign_in("jörg", PASSWORDS["jörg"], ADDRESS)
    assert person
    assert person.admin
    session = Session(person, now[0], now[0], now[0] + REFRESH_SECONDS)
    accounts.leave("jörg", "admins")
    assert sales.refresh(session)
    assert session.person.admin
    now[0] += REFRESH_SECONDS
    assert sales.refresh(session)
    assert session.person == replace(person, admin=False, groups=(accounts.group("sales"),))
    accounts.leave("jörg", "sales")
    now[0] += REFRESH_SECONDS
    assert not sales.refresh(session)
    accounts.join("jörg", "sales")


def test_a_directory_that_does_not_answer_says_nothing_about_a_password(accounts: Accounts, closed_port: int) -> None:
    """And ends no session."""
    away = directory(accounts, QUERY=f"ldaps://localhost:{closed_port}/{accounts.base}")
    with pytest.raises(ServerUnavailable):
        away.sign_in("anna", PASSWORDS["anna"], ADDRESS)
    person = directory(accounts).sign_in("anna", PASSWORDS["anna"], ADDRESS)
    assert person
    assert away.refresh(Session(person, 0.0, 0.0, refresh_at=0.0))


def test_no_password_is_sent_without_a_valid_certificate(accounts: Accounts) -> None:
    """Contactsync's own rules for TLS apply; they are tested where folders connect."""
    with pytest.raises(CertificateRefused):
        directory(accounts, CA_FILE="").sign_in("anna", PASSWORDS["anna"], ADDRESS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"USER": ""}, "bind_as"),
        ({"PASSWORD_FILE": ""}, "password_file"),
        ({"QUERY": "gopher://x"}, "gopher"),
        ({"FILTER": "(uid={name}"}, "The filter is not valid"),
        ({"FILTER": "(uid=anna)"}, "{name}"),
        ({"GROUP_FILTER": "(member=x)"}, "{dn}"),
    ],
)
def test_settings_that_cannot_work_are_refused(accounts: Accounts, changes: dict[str, str], reason: str) -> None:
    """With the reason, before anybody signs in."""
    with pytest.raises(SettingsError) as caught:
        directory(accounts, **changes)
    assert reason in caught.value.message
