"""Sign-in with the password of a directory, whose groups say who may, and who is an administrator."""

from __future__ import annotations

import time
from collections.abc import Callable

from contactsync.errors import ContactsyncError, SettingsError
from contactsync.ldap.accounts import Account, AccountDirectory, authenticate, find_account
from contactsync.ldap.connection.dns import parse_name_servers
from contactsync.ldap.connection.options import TlsOptions
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import parse_query
from contactsync.ldap.query.user import parse_user
from contactsync.serving.secret_file import read_secret
from contactsync.settings.schema import Settings
from contactsync.web.person import Person
from contactsync.web.sessions import Session
from contactsync.web.signin.renewal import Renewal
from contactsync.web.signin.roles import Roles


class DirectorySignIn:
    """The directory of the settings, and its groups."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises SettingsError."""
        self._directory = _directory(settings)
        self._roles = Roles(settings.sign_in)
        self._renewal = Renewal(self._person_again, clock)

    def sign_in(self, name: str, password: str, address: str) -> Person | None:
        """The person, if the password is right and the groups may sign in.

        Raises AccountUnusable, DirectoryError, SecretError.
        """
        account = authenticate(self._directory, name.strip(), password)
        return self._person(account, address) if account else None

    def refresh(self, session: Session) -> bool:
        """Whether the session goes on; its person gets the groups of today if they were read long ago."""
        return session.person.how != "directory" or not self._directory.user or self._renewal.goes_on(session)

    def _person_again(self, session: Session) -> Person | None:
        account = find_account(self._directory, session.person.user)
        return self._person(account, session.person.address) if account else None

    def _person(self, account: Account, address: str) -> Person | None:
        return self._roles.person(account.name, account.groups, "directory", address)


def _directory(settings: Settings) -> AccountDirectory:
    section = settings.sign_in
    if not (section.user or section.bind_as):
        raise _invalid("[sign_in] query needs user and password_file, or bind_as.")
    if section.user and not section.password_file:
        raise _invalid("[sign_in] user needs password_file.")
    try:
        check_filter(section.filter.replace("{name}", "x"))
        check_filter(section.group_filter.replace("{dn}", "x") or "(x=x)")
        return AccountDirectory(
            query=parse_query(section.query),
            user=parse_user(section.user),
            password=lambda: read_secret(section.password_file, "[sign_in] password_file"),
            bind_as=section.bind_as,
            filter=section.filter,
            name_attributes=tuple(section.name_attributes.split()),
            group_filter=section.group_filter,
            trust=TlsOptions(ca_file=section.ca_file or None),
            connect_timeout=settings.directory.connect_timeout_seconds,
            receive_timeout=settings.directory.receive_timeout_seconds,
            name_servers=parse_name_servers(settings.directory.dns_servers),
        )
    except ContactsyncError as error:
        raise _invalid(f"[sign_in] is not valid: {error.message}") from None


def _invalid(message: str) -> SettingsError:
    return SettingsError(message, hint="docs/how-to/console.md explains the sign-in by a directory.")
