"""People's accounts in a directory: whether a password is right, and which groups a person is in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from contactsync.errors import CredentialsRefused, QueryError
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.discovery import find_servers
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.lookup import read_some
from contactsync.ldap.protocol.entry import Entry
from contactsync.ldap.query.address import ServerAddress
from contactsync.ldap.query.query import DirectoryQuery, Scope
from contactsync.model import Tls

_SECONDS = 20.0
_LONGEST_NAME = 200
_MOST_GROUPS = 5000
_MEMBER_OF = "memberOf"
_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\(?P<name>[^\\]+)")
"""A name as in `EXAMPLE\\anna`, which people type where Windows asks for one."""
_LOGON_NAMES = frozenset('"/\\[]:;|=,+*?<>@')
"""Characters that are in no name of Active Directory, and would make another user of `{name}@example.com`."""


@dataclass(frozen=True, kw_only=True)
class AccountDirectory:
    """A directory of accounts. `{name}` and `{dn}` in templates become what a person typed, and the person's DN.

    With the service account `user` a person's entry is searched by `filter`. Without one the person binds as `bind_as`
    says. Without `group_filter` the groups are the values of memberOf.
    """

    query: DirectoryQuery
    user: str | None
    password: Callable[[], str]
    bind_as: str
    filter: str
    name_attributes: tuple[str, ...]
    group_filter: str
    trust: TlsOptions
    connect_timeout: float
    receive_timeout: float
    name_servers: tuple[ServerAddress, ...] = ()


class AccountState(StrEnum):
    """Why an account cannot be used, if the directory says so. It may say that also for a wrong password."""

    LOCKED = "locked"
    DISABLED = "disabled"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 -- no password


class AccountUnusable(Exception):
    """The directory refuses the account, whatever the password."""

    def __init__(self, state: AccountState) -> None:
        super().__init__(state)
        self.state = state


_STATES_OF_ACTIVE_DIRECTORY = {
    "532": AccountState.PASSWORD_EXPIRED,
    "533": AccountState.DISABLED,
    "701": AccountState.DISABLED,
    "773": AccountState.PASSWORD_EXPIRED,
    "775": AccountState.LOCKED,
}
_STATES_OF_RESULTS = {19: AccountState.LOCKED, 53: AccountState.DISABLED}
"""Of 389 Directory Server: constraintViolation after too many attempts, unwillingToPerform for one that is inactive."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account: the name as the directory has it, the DN, and the DNs of the groups."""

    name: str
    dn: str
    groups: tuple[str, ...]


def authenticate(directory: AccountDirectory, name: str, password: str) -> Account | None:
    r"""The account with this name, if the password is right. Raises AccountUnusable, DirectoryError, SecretError.

    A domain before the name, as in EXAMPLE\anna, is left out: the directory is that of the settings. An empty password
    is wrong: servers take it for an anonymous bind, which succeeds (RFC 4513, section 5.1.2).
    """
    name = name_without_domain(name)
    if not password or not is_user_name(name):
        return None
    if not directory.user:
        return _authenticate_directly(directory, name, password)
    with _connected(directory, directory.user, directory.password()) as service:
        entry = _find(directory, service, name)
        # Also for an unknown name, so that the time of the answer does not show which names there are.
        user = entry.dn if entry else f"cn={secrets.token_hex(8)},{_base(directory, service)}"
        try:
            with _connected(directory, user, password):
                return _account(directory, service, entry) if entry else None
        except CredentialsRefused as refused:
            _raise_state(refused)
            return None


def name_without_domain(name: str) -> str:
    r"""The name `anna` of `EXAMPLE\anna`; any other name as it is."""
    match = _DOMAIN.fullmatch(name)
    return match["name"] if match else name


def is_user_name(text: str) -> bool:
    """Whether a person may have this name at the console: one line of at most 200 characters."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()


def find_account(directory: AccountDirectory, name: str) -> Account | None:
    """The account with this name, by the service account. Raises DirectoryError, SecretError."""
    if not directory.user:
        raise AssertionError
    with _connected(directory, directory.user, directory.password()) as service:
        entry = _find(directory, service, name)
        return _account(directory, service, entry) if entry else None


def _authenticate_directly(directory: AccountDirectory, name: str, password: str) -> Account | None:
    suffix = directory.bind_as.removeprefix("{name}")
    if suffix.startswith("@") and name.casefold().endswith(suffix.casefold()):
        name = name[: -len(suffix)]
    if "=" in directory.bind_as:
        user = directory.bind_as.replace("{name}", escape_rdn(name))
    elif _LOGON_NAMES.isdisjoint(name):
        user = directory.bind_as.replace("{name}", name)
    else:
        return None
    try:
        with _connected(directory, user, password) as session:
            entry = _find(directory, session, name)
            return _account(directory, session, entry) if entry else None
    except CredentialsRefused as refused:
        _raise_state(refused)
        return None


def _raise_state(refused: CredentialsRefused) -> None:
    """Raise AccountUnusable if the directory says more than that the name or the password is wrong."""
    state = _STATES_OF_ACTIVE_DIRECTORY.get(refused.data) or _STATES_OF_RESULTS.get(refused.result)
    if state:
        raise AccountUnusable(state) from None


@contextmanager
def _connected(directory: AccountDirectory, user: str, password: str) -> Iterator[Session]:
    query = directory.query
    options = ConnectOptions(
        servers=query.servers or find_servers(query.domain or "", directory.name_servers),
        drawn=not query.servers,
        user=user,
        password=password,
        tls=Tls.AUTO,
        trust=directory.trust,
        connect_timeout=directory.connect_timeout,
        receive_timeout=directory.receive_timeout,
        name_servers=directory.name_servers,
    )
    with connect(options, Deadline(_SECONDS)) as session:
        yield session


def _find(directory: AccountDirectory, session: Session, name: str) -> Entry | None:
    """The one entry of a name; None if there is none, or more than one."""
    search_filter = directory.filter.replace("{name}", escape_filter_chars(name))
    attributes = (*directory.name_attributes, _MEMBER_OF)
    scope = directory.query.scope or Scope.SUB
    entries = read_some(session.wire, _base(directory, session), scope, search_filter, attributes, most=2)
    return entries[0] if len(entries) == 1 else None


def _account(directory: AccountDirectory, session: Session, entry: Entry) -> Account | None:
    names = (_texts(entry, attribute) for attribute in directory.name_attributes)
    name = next((texts[0] for texts in names if texts), "")
    if not is_user_name(name):
        return None
    groups = _texts(entry, _MEMBER_OF)
    if directory.group_filter:
        search_filter = directory.group_filter.replace("{dn}", escape_filter_chars(entry.dn))
        base = _base(directory, session, of_groups=True)
        found = read_some(session.wire, base, Scope.SUB, search_filter, ("1.1",), most=_MOST_GROUPS)
        groups = [group.dn for group in found]
    return Account(name, entry.dn, tuple(sorted(set(_canonical(groups)))))


def _base(directory: AccountDirectory, session: Session, *, of_groups: bool = False) -> str:
    base = None if of_groups else directory.query.base
    return base or session.root_dse.default_base()


def _canonical(dns: list[str]) -> Iterator[str]:
    for dn in dns:
        try:
            yield canonical_dn(dn)
        except QueryError:
            continue


def _texts(entry: Entry, attribute: str) -> list[str]:
    return [value.decode("utf-8", "replace") for value in entry.attributes.get(attribute.lower(), ())]
