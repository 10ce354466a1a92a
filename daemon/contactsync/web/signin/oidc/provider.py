"""An OpenID provider: what it publishes about itself, and what it says about a person (OpenID Connect Core 1.0)."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from contactsync.text import quoted
from contactsync.web.sessions import Tokens
from contactsync.web.signin.oidc.failures import Reason, SignInFailed
from contactsync.web.signin.oidc.transport import CONNECT_SECONDS, WHOLE_SECONDS, LimitedTransport

Claims = Mapping[str, Any]

_KEEP_SECONDS = 3600
"""How long metadata and keys are kept; keys also end when a token names another one."""
_AGAIN_SECONDS = 5
"""How long to wait after the provider gave no metadata, and between two reads of its keys."""
_LEEWAY_SECONDS = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by a key that only the provider has. Not "none", and no shared secret."""
_OF_CLIENT = frozenset({"invalid_client", "unauthorized_client"})
_OF_GRANT = frozenset({"invalid_grant", "invalid_code"})
"""The second is glewlwyd's."""
_MOST_TEXT = 200
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, kw_only=True)
class ProviderOptions:
    """The provider, and this console as its client. `wanted` are the claims that the ID token or userinfo must have."""

    issuer: str
    client_id: str
    client_secret: Callable[[], str]
    redirect_uri: str
    scopes: str
    wanted: frozenset[str]
    tls: ssl.SSLContext


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the provider publishes about itself (OpenID Connect Discovery 1.0)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    token_auth_method: str
    names_itself: bool
    """Whether its redirects have its name in `iss` (RFC 9207)."""


class Provider:
    """The provider. `clock` is monotonic, `now` is the time of day."""

    def __init__(
        self,
        options: ProviderOptions,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._read_again_at = clock()
        self._failure: SignInFailed | None = None
        self._keys: KeySet | None = None
        self._keys_read_at = clock()

    def metadata(self) -> Metadata:
        """Its metadata, at most an hour old. Raises SignInFailed."""
        with self._lock:
            if self._clock() >= self._read_again_at:
                self._metadata, self._failure = None, None
                try:
                    self._metadata = self._read_metadata()
                except SignInFailed as failure:
                    self._failure = failure
                self._read_again_at = self._clock() + (_KEEP_SECONDS if self._metadata else _AGAIN_SECONDS)
            if self._metadata is None:
                raise self._failure or SignInFailed(Reason.AWAY)
            return self._metadata

    def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes to sign in. Raises SignInFailed."""
        endpoint = self.metadata().authorization_endpoint
        with self._client() as client:
            url, _state = client.create_authorization_url(endpoint, state=state, nonce=nonce, code_verifier=verifier)
        return str(url)

    def exchange(self, code: str, *, nonce: str, verifier: str) -> tuple[Claims, Tokens]:
        """The claims about the person who has signed in. Raises SignInFailed."""
        with self._client() as client:
            answer = client.fetch_token(
                self.metadata().token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
            )
            if "id_token" not in answer:
                raise SignInFailed(Reason.ANSWER, "there is no id_token")
            claims = self._verified(answer["id_token"], nonce)
            tokens = _tokens(answer, claims["sub"])
            return self._complete(client, claims, tokens), tokens

    def renew(self, tokens: Tokens) -> Claims | None:
        """The claims of today; None if the provider says nothing about the person any more. Raises SignInFailed.

        New tokens take the place of the old ones at once: a provider may accept a refresh token only once.
        """
        claims: Claims = {}
        with self._client() as client:
            if tokens.refresh:
                try:
                    answer = client.refresh_token(self.metadata().token_endpoint, refresh_token=tokens.refresh)
                except (OAuthError, httpx2.HTTPStatusError) as error:
                    if _ends(error):
                        return None
                    raise
                new = _tokens(answer, tokens.subject, tokens.refresh)
                tokens.access, tokens.refresh = new.access, new.refresh
                if "id_token" in answer:
                    claims = self._verified(answer["id_token"], "")
            elif not self.metadata().userinfo_endpoint:
                return None
            try:
                claims = self._complete(client, claims, tokens)
            except _Unauthorized:
                return None
        return claims if claims.get("sub") == tokens.subject else None

    def _complete(self, client: OAuth2Client, claims: Claims, tokens: Tokens) -> Claims:
        """The claims, with those of the userinfo endpoint if some that are wanted are missing."""
        url = self.metadata().userinfo_endpoint
        if self._options.wanted <= claims.keys() or not url:
            return claims
        header = {"Authorization": f"Bearer {tokens.access}"}
        response = client.request("GET", url, withhold_token=True, headers=header)
        if response.is_client_error and response.status_code not in _LATER:
            raise _Unauthorized(Reason.ANSWER, f"userinfo answered {response.status_code}")
        more = _document(response)
        if more.get("sub") != tokens.subject:
            raise SignInFailed(Reason.ANSWER, "userinfo is about another person")
        return {**more, **claims}

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        decoded = self._decode(token)
        options = {
            "iss": {"essential": True, "value": self._options.issuer},
            "aud": {"essential": True, "value": self._options.client_id},
        }
        params = {"nonce": nonce, "client_id": self._options.client_id}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        try:
            claims.validate(now=int(self._now()), leeway=_LEEWAY_SECONDS)
        except ClaimError as error:
            issued_at = claims.get("iat")
            of_clock = isinstance(error, ExpiredTokenError) or error.claim in {"iat", "nbf"}
            if of_clock and isinstance(issued_at, int | float):
                minutes = max(1, round(abs(issued_at - self._now()) / 60))
                raise SignInFailed(Reason.CLOCK, f"the ID token was issued at {issued_at}", minutes=minutes) from None
            reason = Reason.ISSUER if error.claim == "iss" else Reason.ANSWER
            raise SignInFailed(reason, f"the claim {error.claim} of the ID token is missing or wrong") from None
        if not claims["sub"]:
            raise SignInFailed(Reason.ANSWER, "the claim sub of the ID token is empty")
        return dict(claims)

    def _decode(self, token: str) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
        try:
            try:
                return jwt.decode(token, self._key_set(), registry=registry)
            except InvalidKeyIdError:
                return jwt.decode(token, self._key_set(newer=True), registry=registry)
        except (JoseError, ValueError, TypeError) as error:
            detail = f"the ID token cannot be verified: {type(error).__name__} {error}"
            raise SignInFailed(Reason.ANSWER, detail) from None

    def _key_set(self, *, newer: bool = False) -> KeySet:
        with self._lock:
            keep = _AGAIN_SECONDS if newer else _KEEP_SECONDS
            keys, now = self._keys, self._clock()
            if keys is not None and now < self._keys_read_at + keep:
                return keys
        listed: Any = self._read(self.metadata().jwks_uri).get("keys")
        if not isinstance(listed, list):
            raise SignInFailed(Reason.ANSWER, "the provider publishes no keys")
        keys = KeySet.import_key_set({"keys": listed})
        with self._lock:
            self._keys, self._keys_read_at = keys, now
        return keys

    def _read_metadata(self) -> Metadata:
        issuer = self._options.issuer
        document = self._read(f"{issuer.removesuffix('/')}/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            named = quoted(str(document.get("issuer")), most=_MOST_TEXT)
            raise SignInFailed(Reason.ISSUER, f"the provider is {named}, the settings have {quoted(issuer)}")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
        urls = {name: document.get(name, "") for name in names}
        for name, url in urls.items():
            if not (isinstance(url, str) and url.startswith("https://")) and (url or name != "userinfo_endpoint"):
                raise SignInFailed(Reason.ANSWER, f"{name} in the metadata is no https URL")
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        by_name = document.get("authorization_response_iss_parameter_supported") is True
        return Metadata(**urls, token_auth_method=method, names_itself=by_name)

    def _read(self, url: str) -> dict[str, Any]:
        with _failures(), self._http() as client:
            return _document(client.get(url, headers={"Accept": "application/json"}))

    def _http(self) -> httpx2.Client:
        timeout = httpx2.Timeout(WHOLE_SECONDS, connect=CONNECT_SECONDS)
        return httpx2.Client(transport=LimitedTransport(self._options.tls), timeout=timeout)

    @contextmanager
    def _client(self) -> Iterator[OAuth2Client]:
        options = self._options
        with (
            _failures(),
            OAuth2Client(
                client_id=options.client_id,
                client_secret=options.client_secret(),
                token_endpoint_auth_method=self.metadata().token_auth_method,
                scope=options.scopes,
                redirect_uri=options.redirect_uri,
                code_challenge_method="S256",
                transport=LimitedTransport(options.tls),
                timeout=httpx2.Timeout(WHOLE_SECONDS, connect=CONNECT_SECONDS),
            ) as client,
        ):
            yield client


def _ends(error: OAuthError | httpx2.HTTPStatusError) -> bool:
    """Whether the provider refuses to say anything more about a person; else it may do so later."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.is_client_error and error.response.status_code not in _LATER
    return error.error in _OF_GRANT


class _Unauthorized(SignInFailed):
    """The provider does not accept the access token."""


@contextmanager
def _failures() -> Iterator[None]:
    """What the libraries raise, as SignInFailed."""
    try:
        yield
    except OAuthError as error:
        reason = Reason.CLIENT if error.error in _OF_CLIENT else Reason.ANSWER
        raise SignInFailed(
            Reason.CODE if error.error in _OF_GRANT else reason, f"{error.error}: {error.description}"
        ) from None
    except httpx2.HTTPStatusError as error:  # of the token endpoint, without a reason in JSON
        other = Reason.ANSWER if error.response.is_redirect else Reason.AWAY
        raise SignInFailed(Reason.CODE if _ends(error) else other, str(error)) from None
    except httpx2.HTTPError as error:
        raise SignInFailed(Reason.AWAY, f"{type(error).__name__}: {error}") from None
    except (httpx2.InvalidURL, JoseError, ValueError, TypeError) as error:  # TypeError: of a wrong expires_in
        raise SignInFailed(Reason.ANSWER, f"{type(error).__name__}: {error}") from None


def _document(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer."""
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SignInFailed(Reason.AWAY, f"{response.url.copy_with(query=None)} answered {response.status_code}")
    document = response.json() if response.status_code == HTTPStatus.OK else None
    if not isinstance(document, dict):
        raise SignInFailed(Reason.ANSWER, f"{response.url.copy_with(query=None)} answered {response.status_code}")
    return document


def _tokens(answer: Claims, subject: str, refresh: str = "") -> Tokens:
    access = answer.get("access_token")
    if not isinstance(access, str):
        raise SignInFailed(Reason.ANSWER, "there is no access_token")
    return Tokens(subject, access, answer.get("refresh_token") or refresh)
