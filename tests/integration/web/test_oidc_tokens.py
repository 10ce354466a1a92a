"""A provider, or somebody in its place, that sends what it must not: tokens, keys, and endless answers."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from contactsync.settings.loader import load_settings
from contactsync.testing.certificates import make_certificates
from contactsync.web.sessions import Session, Tokens
from contactsync.web.signin.oidc import transport
from contactsync.web.signin.oidc.failures import Reason, SignInFailed
from contactsync.web.signin.oidc.sign_in import OidcSignIn, SignedIn
from tests.support.waiting import wait_until

SECRET = "a secret of sixteen octets or more"
KEY, OTHER = RSAKey.generate_key(2048, {"kid": "1"}), RSAKey.generate_key(2048, {"kid": "1"})
ROTATED = ECKey.generate_key("P-256", {"kid": "2"})


class HostileProvider:
    """Answers each path as `documents` says while it is `open`; a number is a status. `requests` has the paths."""

    def __init__(self, place: Path) -> None:
        files = make_certificates(place)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append(self.path)
                provider.open.wait()
                answer = provider.documents.get(self.path, 404)
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("Location", f"{provider.issuer}/elsewhere")
                self.end_headers()
                for part in answer if isinstance(answer, list) else [json.dumps(answer).encode()]:
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(provider.pause)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files.certificate, files.key)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.issuer = f"https://localhost:{self._server.server_port}"
        self.ca_file = files.authority
        self.secret_file = place / "secret"
        self.secret_file.write_text(SECRET)
        self.pause = 0.0
        self.open = threading.Event()
        self.open.set()
        self.requests: list[str] = []
        names = {name: f"{self.issuer}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        self.metadata: dict[str, Any] = {"issuer": self.issuer, **names}
        self.documents: dict[str, Any] = {
            "/.well-known/openid-configuration": self.metadata,
            "/jwks_uri": {"keys": [KEY.as_dict(private=False)]},
        }

    def finish(
        self,
        key: RSAKey | OctKey | ECKey = KEY,
        *,
        header: dict[str, Any] | None = None,
        answer: Any = None,
        oidc: OidcSignIn | None = None,
        **claims: Any,
    ) -> SignedIn:
        """Sign in with an ID token with these claims, signed with a key, or with an `answer`. None removes a claim."""
        oidc = oidc or self.sign_in()
        url, cookie = oidc.begin("/")
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        now = int(time.time())
        good = {"iss": self.issuer, "aud": "console", "sub": "1", "iat": now, "exp": now + 60, "nonce": query["nonce"]}
        all_claims = {name: value for name, value in (good | claims).items() if value is not None}
        header = {"alg": "RS256", "kid": "1", **(header or {})}
        token = jwt.encode(header, all_claims, key, algorithms=[header["alg"]])
        tokens = {"access_token": "x", "token_type": "bearer", "id_token": token}
        self.documents["/token_endpoint"] = tokens if answer is None else answer
        return oidc.finish(cookie, {"code": "x", "state": query["state"]}, "192.0.2.7")

    def sign_in(self, clock: Callable[[], float] = time.monotonic) -> OidcSignIn:
        """The sign-in of a console that believes this provider."""
        settings = {
            "OIDC_ISSUER": self.issuer,
            "OIDC_CLIENT_ID": "console",
            "OIDC_CLIENT_SECRET_FILE": str(self.secret_file),
            "OIDC_CA_FILE": str(self.ca_file),
            "MEMBERS": "sub:1",
        }
        environ = {f"CONTACTSYNC_SIGN_IN__{name}": value for name, value in settings.items()}
        return OidcSignIn(load_settings(Path("/dev/null"), {"STATE_DIRECTORY": "/srv", **environ}), clock)

    def close(self) -> None:
        """End it."""
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[HostileProvider]:
    """Start one."""
    provider = HostileProvider(tmp_path)
    yield provider
    provider.close()


def refused(provider: HostileProvider, *arguments: Any, **options: Any) -> SignInFailed:
    """Why nobody is signed in."""
    with pytest.raises(SignInFailed) as caught:
        provider.finish(*arguments, **options)
    return caught.value


def test_a_token_as_it_should_be_signs_in(provider: HostileProvider) -> None:
    """The tests below change one thing of it."""
    assert provider.finish(groups=["a", 1, None, "b"]).person.groups == ("a", "b")


def test_a_token_that_the_provider_did_not_sign_for_this_console_is_refused(provider: HostileProvider) -> None:
    """By another key, by a secret, or not at all; for another client, of another provider or sign-in."""
    secret = OctKey.import_key(SECRET)
    for key, header in ((OTHER, {}), (secret, {"alg": "HS256"}), (OTHER, {"kid": "3"})):
        assert refused(provider, key, header=header).reason is Reason.ANSWER
    unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."
    wrong: list[tuple[dict[str, Any], Reason]] = [
        ({"aud": "other"}, Reason.ANSWER),
        ({"aud": "other", "azp": "console"}, Reason.ANSWER),
        ({"aud": ["console", "other"]}, Reason.ANSWER),
        ({"azp": "other"}, Reason.ANSWER),
        ({"iss": "https://other.example.com"}, Reason.ISSUER),
        ({"nonce": "other"}, Reason.ANSWER),
        ({"nonce": None}, Reason.ANSWER),
        ({"sub": ""}, Reason.ANSWER),
        ({"sub": None}, Reason.ANSWER),
        ({"exp": None}, Reason.ANSWER),
    ]
    for claims, reason in wrong:
        assert refused(provider, **claims).reason is reason, claims
    timeless = {"id_token": unsigned, "access_token": "x", "expires_in": [1]}
    for answer in (
        timeless,
        {"id_token": unsigned, "access_token": "x"},
        {"access_token": "x"},
        ["x"],
        {"id_token": 1},
    ):
        assert refused(provider, answer=answer).reason is Reason.ANSWER, answer


def test_an_answer_without_the_name_of_a_provider_that_gives_it_is_refused(provider: HostileProvider) -> None:
    """Else leaving it out would be enough for another provider (RFC 9207, section 2.4)."""
    provider.metadata["authorization_response_iss_parameter_supported"] = True
    assert refused(provider).reason is Reason.ISSUER


def test_new_keys_are_read_when_a_token_names_one(provider: HostileProvider) -> None:
    """Providers change them without notice. They are read at most every five seconds."""
    later = [0.0]
    oidc = provider.sign_in(lambda: later[0])
    header = {"alg": "ES256", "kid": "2"}
    assert provider.finish(oidc=oidc).person.user == "1"
    provider.documents["/jwks_uri"] = {"keys": [ROTATED.as_dict(private=False)]}
    assert refused(provider, ROTATED, header=header, oidc=oidc).reason is Reason.ANSWER
    later[0] += 5
    assert provider.finish(ROTATED, header=header, oidc=oidc).person.user == "1"


def test_a_new_refresh_token_is_kept_though_the_provider_then_fails(provider: HostileProvider) -> None:
    """It accepts each one only once, so that the person would be signed out."""
    provider.metadata["userinfo_endpoint"] = f"{provider.issuer}/userinfo"
    provider.documents["/userinfo"] = {"sub": "1"}
    oidc = provider.sign_in()
    session = Session(provider.finish(oidc=oidc).person, 0.0, 0.0, 0.0, Tokens("1", "x", "first"))
    provider.documents["/token_endpoint"] = {"access_token": "y", "token_type": "bearer", "refresh_token": "second"}
    provider.documents["/userinfo"] = 503
    assert oidc.refresh(session)
    assert session.tokens == Tokens("1", "y", "second")


def test_a_provider_that_hangs_holds_up_one_request(provider: HostileProvider) -> None:
    """The sessions of others go on, and a later request reads their groups."""
    provider.metadata["userinfo_endpoint"] = f"{provider.issuer}/userinfo"
    provider.documents["/userinfo"] = {"sub": "1"}
    oidc = provider.sign_in()
    person = provider.finish(oidc=oidc).person
    first, second = (Session(person, 0.0, 0.0, 0.0, Tokens("1", "x", "")) for _ in range(2))
    provider.requests.clear()
    provider.open.clear()
    thread = threading.Thread(target=oidc.refresh, args=[first])
    thread.start()
    wait_until(lambda: provider.requests, "the first request")
    assert oidc.refresh(second)
    assert thread.is_alive()
    provider.open.set()
    thread.join()
    assert oidc.refresh(second)
    assert provider.requests == ["/userinfo"] * 2


def test_userinfo_of_another_person_is_refused(provider: HostileProvider) -> None:
    """Its groups would be those of that person."""
    provider.metadata["userinfo_endpoint"] = f"{provider.issuer}/userinfo"
    provider.documents["/userinfo"] = {"sub": "2", "groups": ["admins"]}
    assert refused(provider).reason is Reason.ANSWER
    provider.documents["/userinfo"] = {"sub": "1", "groups": "admins"}
    assert provider.finish().person.groups == ("admins",)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize("url", ["http://localhost/x", "javascript:alert(1)", 1])
def test_only_https_is_followed(provider: HostileProvider, name: str, url: Any) -> None:
    """Else the code, the secret or the keys would cross the network in plain text."""
    provider.metadata[name] = url
    assert refused(provider).reason is Reason.ANSWER


def test_an_answer_that_is_large_or_slow_is_given_up(
    provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the provider still wants to send."""
    path = "/.well-known/openid-configuration"
    provider.documents[path] = [b" " * 100_000] * 30
    assert "octets" in refused(provider).message
    monkeypatch.setattr(transport, "WHOLE_SECONDS", 0.2)
    provider.pause = 0.02
    provider.documents[path] = [b" "] * 100
    failure = refused(provider)
    assert (failure.reason, "seconds" in failure.message) == (Reason.AWAY, True)


def test_redirects_and_pages_are_no_documents(provider: HostileProvider) -> None:
    """Such as the page of a proxy that wants people to sign in. A redirect would take the code and the secret along."""
    for path in ("/token_endpoint", "/.well-known/openid-configuration"):
        for answer in ([b"<html>"], [b"[]"], [b"\xff"], [b"1"], [b'"error"'], 307):
            provider.documents[path] = answer
            assert refused(provider, answer=provider.documents.get("/token_endpoint")).reason is Reason.ANSWER
    assert "/elsewhere" not in provider.requests
