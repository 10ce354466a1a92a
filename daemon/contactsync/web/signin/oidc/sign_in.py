"""Sign-in by an OpenID provider, whose groups say who may, and who is an administrator. Needs the extra `oidc`."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from contactsync.errors import SecretError, SettingsError
from contactsync.ldap.accounts import is_user_name
from contactsync.serving.secret_file import read_secret
from contactsync.settings.schema import Settings
from contactsync.text import quoted
from contactsync.web.middleware.hosts import LOOPBACK, host_name
from contactsync.web.person import Person
from contactsync.web.sessions import Session, Tokens
from contactsync.web.signin.oidc.failures import Reason, SignInFailed
from contactsync.web.signin.oidc.provider import Claims, Provider, ProviderOptions
from contactsync.web.signin.oidc.sealed import BEGUN_SECONDS, TYPED_SECONDS, Sealer
from contactsync.web.signin.renewal import Renewal
from contactsync.web.signin.roles import Roles, split_groups

BACK = "/sign-in/oidc/back"
SUBJECT = "sub:"
"""Begins an entry of `members` and `administrators` that is the `sub` of one person."""
_RANDOM_BYTES = 32
_MOST_TEXT = 200
_AWAY = frozenset({"server_error", "temporarily_unavailable"})
_OF_PERSON = frozenset(
    {"access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required"}
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has signed in, and the path that was wanted."""

    person: Person
    tokens: Tokens
    to: str


class OidcSignIn:
    """The provider of the settings. `clock` is monotonic, `now` is the time of day."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raises SettingsError."""
        section = settings.sign_in
        self.host = urlsplit(section.oidc_issuer).hostname or ""
        self.begun, self.typed = Sealer(BEGUN_SECONDS, now), Sealer(TYPED_SECONDS, now)
        self._settings = section
        self._provider = Provider(_options(settings), clock, now)
        self._roles = Roles(section, key=str)
        self._renewal = Renewal(self._person_again, clock)

    def begin(self, to: str) -> tuple[str, str]:
        """The URL where the person signs in, and the text for the browser's cookie. Raises SignInFailed."""
        begun = {name: secrets.token_urlsafe(_RANDOM_BYTES) for name in ("state", "nonce", "verifier")}
        url = self._provider.authorization_url(**begun)
        return url, self.begun.seal(begun | {"to": to}) or self.begun.seal(begun | {"to": "/"})

    def finish(self, cookie: str, answer: Mapping[str, str], address: str) -> SignedIn:
        """The person whom the provider has sent back with this answer. Raises SignInFailed."""
        begun = self.begun.open(cookie)
        if not begun or not secrets.compare_digest(begun["state"].encode(), answer.get("state", "").encode()):
            raise SignInFailed(Reason.STATE)
        self._check_answer(answer)
        claims, tokens = self._provider.exchange(answer["code"], nonce=begun["nonce"], verifier=begun["verifier"])
        return SignedIn(self._person(claims, address), tokens, begun["to"])

    def refresh(self, session: Session) -> bool:
        """Whether the session goes on; its person gets the groups of today if they were read long ago."""
        return self._renewal.goes_on(session)

    def _person_again(self, session: Session) -> Person | None:
        claims = self._provider.renew(session.tokens) if session.tokens else None
        if claims is None:
            return None
        try:
            return self._person(claims, session.person.address)
        except SignInFailed:
            return None

    def _check_answer(self, answer: Mapping[str, str]) -> None:
        """Raise SignInFailed for an answer of another provider, or without a code."""
        named = answer.get("iss")
        if named != self._settings.oidc_issuer and (named is not None or self._provider.metadata().names_itself):
            raise SignInFailed(Reason.ISSUER, f"the answer is of {quoted(named, most=_MOST_TEXT)}")
        if error := answer.get("error"):
            reason = Reason.AWAY if error in _AWAY else Reason.REFUSED if error in _OF_PERSON else Reason.CLIENT
            raise SignInFailed(reason, f"{error}: {answer.get('error_description', '')}")
        if not answer.get("code"):
            raise SignInFailed(Reason.ANSWER, "there is no code")

    def _person(self, claims: Claims, address: str) -> Person:
        name, groups = claims.get(self._settings.oidc_name_claim), claims.get(self._settings.oidc_groups_claim, ())
        if not (isinstance(name, str) and is_user_name(name)):
            raise SignInFailed(Reason.NAME, f"{self._settings.oidc_name_claim} is {quoted(str(name), most=_MOST_TEXT)}")
        if self._settings.oidc_name_claim == "email" and claims.get("email_verified") is not True:
            raise SignInFailed(Reason.NAME, "the provider has not verified the email address")
        named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list | tuple) else []
        own = tuple(group for group in named if isinstance(group, str) and not group.startswith(SUBJECT))
        person = self._roles.person(name, (*own, f"{SUBJECT}{claims['sub']}"), "oidc", address)
        if person is None:
            raise SignInFailed(Reason.GROUPS, user=name)
        return replace(person, groups=own)


def _options(settings: Settings) -> ProviderOptions:
    section, origin = settings.sign_in, settings.web.origin
    if not (section.oidc_client_id and section.oidc_client_secret_file):
        raise _invalid("[sign_in] oidc_issuer needs oidc_client_id and oidc_client_secret_file.")
    if not split_groups(section.members):
        raise _invalid("[sign_in] oidc_issuer needs members: else everybody whom the provider knows could sign in.")
    if not origin.startswith("https://") and host_name(origin.partition("://")[2]) not in LOOPBACK:
        raise _invalid(f"[sign_in] oidc_issuer needs a [web] url with https; now it is {origin}.")
    try:
        tls = ssl.create_default_context(cafile=section.oidc_ca_file or None)
    except (OSError, ssl.SSLError):
        raise _invalid(
            f"The file {section.oidc_ca_file}, which is [sign_in] oidc_ca_file, has no certificates."
        ) from None
    return ProviderOptions(
        issuer=section.oidc_issuer,
        client_id=section.oidc_client_id,
        client_secret=lambda: _secret(section.oidc_client_secret_file),
        redirect_uri=f"{origin}{BACK}",
        scopes=section.oidc_scopes,
        wanted=frozenset({section.oidc_name_claim, section.oidc_groups_claim}),
        tls=tls,
    )


def _secret(path: str) -> str:
    try:
        return read_secret(path, "[sign_in] oidc_client_secret_file")
    except SecretError as error:
        raise SignInFailed(Reason.CLIENT, error.message) from None


def _invalid(message: str) -> SettingsError:
    return SettingsError(message, hint="docs/how-to/console.md explains the sign-in by an OpenID provider.")
