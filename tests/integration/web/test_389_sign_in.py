"""Sign-in with a password of a real 389 Directory Server: groups, and accounts that it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import ldap3
import pytest

from contactsync.ldap.accounts import AccountState, AccountUnusable
from contactsync.settings.loader import load_settings
from contactsync.web.app import create_app
from contactsync.web.context import WebContext
from contactsync.web.sessions import Sessions
from contactsync.web.signin.directory import DirectorySignIn
from tests.support.ns_slapd import NsSlapd, running, why_not
from tests.support.web import SAME_SITE

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
ADDRESS = "192.0.2.7"
PASSWORD = "correct horse"
CONSOLE = "http://127.0.0.1:8480"


@pytest.fixture(scope="module")
def server() -> Iterator[NsSlapd]:
    """Start a server that locks an account after three wrong passwords; Anna is an administrator."""
    with running(1) as server:
        admin = server.connection()
        policy = {"passwordLockout": "on", "passwordMaxFailure": "3"}
        admin.modify("cn=config", {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in policy.items()})
        for name in ("anna", "inactive", "locked"):
            person = {"uid": name, "sn": name, "cn": name, "userPassword": PASSWORD}
            admin.add(dn_of(server, name), "inetOrgPerson", person)
        inactive = {"nsAccountLock": [(ldap3.MODIFY_REPLACE, ["true"])]}
        admin.modify(dn_of(server, "inactive"), inactive)
        admin.add(f"cn=admins,{server.suffix}", "groupOfNames", {"member": dn_of(server, "anna")})
        admin.unbind()
        yield server


def dn_of(server: NsSlapd, name: str) -> str:
    """The DN of a person."""
    return f"uid={name},{server.people_base}"


@pytest.fixture
def sign_in(server: NsSlapd, tmp_path: Path) -> DirectorySignIn:
    """The sign-in of a console with this directory."""
    (tmp_path / "reader").write_text(server.reader_password)
    settings = {
        "QUERY": f"{server.tls_url}/{server.suffix}",
        "USER": server.reader_dn,
        "PASSWORD_FILE": str(tmp_path / "reader"),
        "CA_FILE": str(server.ca_file),
        "GROUP_FILTER": "(&(objectClass=groupOfNames)(member={dn}))",
        "ADMINISTRATORS": f"cn=admins,{server.suffix}",
    }
    environ = {f"CONTACTSYNC_SIGN_IN__{name}": value for name, value in settings.items()}
    return DirectorySignIn(load_settings(Path("/dev/null"), {"STATE_DIRECTORY": "/srv", **environ}))


def page_of(sign_in: DirectorySignIn, name: str) -> str:
    """The page that answers the form of the console, in German."""
    settings = load_settings(Path("/dev/null"), {"STATE_DIRECTORY": "/srv"})
    hosts = frozenset({"127.0.0.1"})
    console = WebContext(settings=settings, origin=CONSOLE, hosts=hosts, sessions=Sessions(), directory=sign_in)

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(console))
        headers = SAME_SITE | {"Accept-Language": "de"}
        async with httpx.AsyncClient(transport=transport, base_url=CONSOLE, headers=headers) as client:
            return await client.post("/sign-in", data={"name": name, "password": PASSWORD})

    answer = asyncio.run(post())
    assert answer.status_code == 403
    return answer.text


def test_groups_are_roles(sign_in: DirectorySignIn) -> None:
    """By the default filter of names, which has attributes that this server does not know."""
    anna = sign_in.sign_in("Anna", PASSWORD, ADDRESS)
    assert anna
    assert (anna.user, anna.admin) == ("anna", True)
    assert sign_in.sign_in("anna", "wrong", ADDRESS) is None


def test_the_directory_says_why_an_account_is_refused(sign_in: DirectorySignIn) -> None:
    """Inactive, and locked after too many wrong passwords."""
    for _ in range(3):
        assert sign_in.sign_in("locked", "wrong", ADDRESS) is None
    for name, (state, words) in {
        "inactive": (AccountState.DISABLED, "deaktiviert"),
        "locked": (AccountState.LOCKED, "gesperrt"),
    }.items():
        with pytest.raises(AccountUnusable) as caught:
            sign_in.sign_in(name, PASSWORD, ADDRESS)
        assert caught.value.state is state
        assert words in page_of(sign_in, name)
