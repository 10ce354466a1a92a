"""Sign-in by a web server in front of the console, which has signed the person in and says so in a header.

Only a web server at the other end of a Unix socket is believed, by the user of its process.
"""

from __future__ import annotations

from fastapi import Request

from contactsync.ldap.accounts import is_user_name
from contactsync.serving.peer import uid_of
from contactsync.settings.sign_in import SignIn
from contactsync.web.person import Person
from contactsync.web.signin.roles import Roles, split_groups


class ProxySignIn:
    """The web server of the settings."""

    def __init__(self, settings: SignIn) -> None:
        """Raises SettingsError."""
        self._uid = uid_of(settings.proxy_user, "[sign_in] proxy_user")
        self._header, self._groups_header = settings.proxy_header, settings.proxy_groups_header
        self._roles = Roles(settings)

    def person(self, request: Request, address: str) -> Person | None:
        """The person of a request; None if the web server names none, or if another process has sent it."""
        names = request.headers.getlist(self._header)
        if request.scope["state"].get("peer_uid") != self._uid or len(names) != 1:
            return None
        name = _decoded(names[0])
        if not is_user_name(name):
            return None
        groups = request.headers.getlist(self._groups_header) if self._groups_header else []
        return self._roles.person(name, tuple(split_groups(_decoded(";".join(groups)))), "proxy", address)


def _decoded(value: str) -> str:
    """A header in UTF-8, which Starlette reads as Latin-1."""
    return value.encode("latin-1").decode("utf-8", "replace").strip()
