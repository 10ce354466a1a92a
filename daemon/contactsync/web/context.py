"""The parts of the console's process, and what the functions of the pages get of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from contactsync.errors import AdministratorsOnly
from contactsync.serving.client import Daemon
from contactsync.settings.schema import Settings
from contactsync.web.errors import SessionNeeded
from contactsync.web.language import gettext
from contactsync.web.live import LiveRuns
from contactsync.web.person import Person
from contactsync.web.sessions import Session, Sessions
from contactsync.web.signin.attempts import Attempts, is_address
from contactsync.web.signin.directory import DirectorySignIn
from contactsync.web.signin.proxy import ProxySignIn

if TYPE_CHECKING:
    from contactsync.web.signin.oidc.sign_in import OidcSignIn  # needs an extra

_AGENT = "contactsync-web"


@dataclass(frozen=True, kw_only=True)
class WebContext:
    """The parts. `origin` is the address of the console, such as `https://contacts.example.com`."""

    settings: Settings
    origin: str
    hosts: frozenset[str]
    sessions: Sessions
    live: LiveRuns = field(init=False)
    directory: DirectorySignIn | None = None
    """The sign-in by a password of the directory; None if that is not set."""
    oidc: OidcSignIn | None = None
    """The sign-in by an OpenID provider; None if that is not set."""
    proxy: ProxySignIn | None = None
    """The sign-in by a web server in front; None if that is not set."""
    attempts: Attempts = field(default_factory=Attempts)

    def __post_init__(self) -> None:
        """Make what follows the daemon's events for all browsers."""
        everyone = Person("console", admin=True, how="events", address="")
        object.__setattr__(self, "live", LiveRuns(lambda: self.daemon_for(everyone)))

    @property
    def secure(self) -> bool:
        """Whether browsers reach the console over TLS."""
        return self.origin.startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the session's cookie. Browsers accept the prefix over TLS only."""
        return "__Host-contactsync" if self.secure else "contactsync"

    @property
    def socket(self) -> Path:
        """The daemon's socket."""
        return self.settings.web.socket

    def address_of(self, request: Request) -> str:
        """The address of the browser; that of a web server in front, unless this is at a Unix socket and says it.

        Any process of the machine could send the header over TCP, and so escape the limit of an address.
        """
        if request.scope["state"].get("peer_uid") is None:
            return request.client.host if request.client else ""
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        return forwarded if is_address(forwarded) else "unix"

    def goes_on(self, session: Session, request: Request) -> bool:
        """Whether the directory, the provider or the web server in front still says that the session may be used."""
        if session.person.how == "proxy":
            person = self.proxy.person(request, session.person.address) if self.proxy else None
            if person is None or person.user != session.person.user:
                return False
            session.person = person
        if session.person.how == "oidc":
            return self.oidc is not None and self.oidc.refresh(session)
        return self.directory.refresh(session) if self.directory else True

    def daemon_for(self, person: Person) -> Daemon:
        """The daemon, which is asked in the name of a person."""
        return Daemon(self.socket, {"User-Agent": _AGENT, **person.headers()})


def context_of(request: Request) -> WebContext:
    """The parts of the process that serves a request."""
    context: WebContext = request.app.state.context
    return context


def session_of(request: Request) -> Session | None:
    """The session of a request; None if nobody has signed in."""
    session: Session | None = request.scope["state"].get("session")
    return session


def current_session(request: Request) -> Session:
    """The session of a request, with the groups of the last fifteen minutes. Raises SessionNeeded."""
    session, context = session_of(request), context_of(request)
    if session is None or not context.goes_on(session, request):
        context.sessions.end(request.state.token)
        request.state.session = None
        raise SessionNeeded
    return session


CurrentSession = Annotated[Session, Depends(current_session)]


def _person(session: CurrentSession) -> Person:
    return session.person


def _administrator(session: CurrentSession) -> Person:
    if not session.person.admin:
        raise AdministratorsOnly(
            gettext("This page is for administrators."), hint=gettext("The overview shows what you may do.")
        )
    return session.person


def _daemon(request: Request, session: CurrentSession) -> Daemon:
    return context_of(request).daemon_for(session.person)


SignedIn = Annotated[Person, Depends(_person)]
"""The person who has signed in."""
Administrator = Annotated[Person, Depends(_administrator)]
"""The same, who must be an administrator."""
PersonsDaemon = Annotated[Daemon, Depends(_daemon)]
"""The daemon, which is asked in the name of the person who has signed in."""
