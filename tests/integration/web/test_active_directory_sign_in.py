r"""Sign-in with a password of a real Active Directory (Samba's): forms of the name, nested groups, refused accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contactsync.ldap.accounts import AccountState, AccountUnusable
from contactsync.settings.loader import load_settings
from contactsync.web.person import Person
from contactsync.web.sessions import Session
from contactsync.web.signin.directory import DirectorySignIn
from tests.support.samba import DISABLED, DOMAIN, NORMAL, REALM, PrivateSamba

ADDRESS = "192.0.2.7"
PASSWORD = "Correct-Horse-7"
IN_CHAIN = "(member:1.2.840.113556.1.4.1941:={dn})"


class DomainAccounts:
    """Anna in a group of the group of administrators, and accounts that are refused, in a unit of their own."""

    def __init__(self, samba: PrivateSamba, place: Path) -> None:
        self.samba = samba
        self.unit = samba.unit("Sign-in")
        self.password_file = place / "reader"
        self.password_file.write_text(samba.reader_password)
        self.dns = {name: self.add(name) for name in ("anna.b", "bert.c", "disabled.d", "expired.e", "locked.f")}
        samba.set(self.dns["disabled.d"], userAccountControl=DISABLED)
        samba.set(self.dns["expired.e"], pwdLastSet=0)
        admins, team = (self.group(name) for name in ("Contact Admins", "Team"))
        samba.set(team, member=self.dns["anna.b"])
        samba.set(admins, member=team)
        self.admins = admins

    def add(self, name: str) -> str:
        """Add a user with PASSWORD, whose CN is none of the names."""
        return self.samba.add(
            f"Person {name}",
            under=self.unit,
            sAMAccountName=name,
            userPrincipalName=f"{name}@{REALM.lower()}",
            userAccountControl=NORMAL,
            unicodePwd=f'"{PASSWORD}"'.encode("utf-16-le"),
        )

    def group(self, name: str) -> str:
        """Add a group."""
        return self.samba.add(name, under=self.unit, kind="group", sAMAccountName=name)

    def sign_in(self, **changes: str) -> DirectorySignIn:
        """The sign-in of a console with these settings."""
        settings = {
            "QUERY": f"{self.samba.tls_url}/{self.unit}",
            "USER": self.samba.reader_user,
            "PASSWORD_FILE": str(self.password_file),
            "CA_FILE": str(self.samba.ca_file),
            "GROUP_FILTER": IN_CHAIN,
            "ADMINISTRATORS": self.admins,
            **changes,
        }
        environ = {f"CONTACTSYNC_SIGN_IN__{name}": value for name, value in settings.items()}
        return DirectorySignIn(load_settings(Path("/dev/null"), {"STATE_DIRECTORY": "/srv", **environ}))


@pytest.fixture(scope="module")
def accounts(samba: PrivateSamba, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainAccounts]:
    """Add the accounts. Three wrong passwords lock one."""
    samba.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=3", f"-H{samba_database(samba)}")
    try:
        yield DomainAccounts(samba, tmp_path_factory.mktemp("reader"))
    finally:
        samba.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=0", f"-H{samba_database(samba)}")


def samba_database(samba: PrivateSamba) -> str:
    """The URL of its database."""
    return f"{samba.directory}/private/sam.ldb"


def person_of(sign_in: DirectorySignIn, name: str, password: str = PASSWORD) -> Person | None:
    """The person of a name and a password."""
    return sign_in.sign_in(name, password, ADDRESS)


@pytest.mark.parametrize("name", ["anna.b", "ANNA.B", f"anna.b@{REALM.lower()}", f"{DOMAIN}\\anna.b", "adtest\\Anna.B"])
def test_all_forms_of_a_name_are_one_person(accounts: DomainAccounts, name: str) -> None:
    """With a service account, and with a bind as the person; rights and the audit have one name."""
    for own in ({}, {"USER": "", "PASSWORD_FILE": "", "BIND_AS": f"{{name}}@{REALM.lower()}"}):
        person = person_of(accounts.sign_in(**own), name)
        assert person
        assert (person.user, person.admin) == ("anna.b", True)
        assert person_of(accounts.sign_in(**own), name, "wrong") is None
    person = person_of(accounts.sign_in(), "bert.c")
    assert person
    assert not person.admin


def test_another_domain_is_no_other_person(accounts: DomainAccounts) -> None:
    """The directory of the settings is asked for the name; an address of another domain is nobody there."""
    own = {"USER": "", "PASSWORD_FILE": "", "BIND_AS": f"{{name}}@{REALM.lower()}"}
    for sign_in in (accounts.sign_in(), accounts.sign_in(**own)):
        person = person_of(sign_in, "ELSEWHERE\\anna.b")
        assert person
        assert person.user == "anna.b"
        for name in ("anna.b@elsewhere.test", "ADTEST\\ADTEST\\anna.b", "ADTEST\\", "\\anna.b"):
            assert person_of(sign_in, name) is None, name


def test_groups_in_groups_need_the_rule_of_active_directory(accounts: DomainAccounts) -> None:
    """Without it only the groups count of which the person itself is a member."""
    direct = person_of(accounts.sign_in(GROUP_FILTER=""), "anna.b")
    assert direct
    assert (direct.admin, len(direct.groups)) == (False, 1)
    session = Session(direct, 0.0, 0.0, refresh_at=0.0)
    assert accounts.sign_in().refresh(session)
    assert session.person.admin


def test_the_directory_says_why_an_account_is_refused(accounts: DomainAccounts) -> None:
    """For the right password only, but for a locked account."""
    sign_in = accounts.sign_in()
    for name, state in {
        "disabled.d": AccountState.DISABLED,
        "expired.e": AccountState.PASSWORD_EXPIRED,
        "locked.f": AccountState.LOCKED,
    }.items():
        if state is AccountState.LOCKED:
            for _ in range(3):
                assert person_of(sign_in, name, "wrong") is None
        else:
            assert person_of(sign_in, name, "wrong") is None
        with pytest.raises(AccountUnusable) as caught:
            person_of(sign_in, name)
        assert caught.value.state is state
