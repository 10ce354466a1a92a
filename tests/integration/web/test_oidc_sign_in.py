"""Sign-in by a real OpenID provider: who signs in as whom, what is refused, and what is read again later."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from contactsync.errors import SettingsError
from contactsync.settings.loader import load_settings
from contactsync.web.sessions import REFRESH_SECONDS, Session
from contactsync.web.signin.oidc.failures import Reason, SignInFailed
from contactsync.web.signin.oidc.sealed import BEGUN_SECONDS
from contactsync.web.signin.oidc.sign_in import OidcSignIn, SignedIn
from tests.support.glewlwyd import PEOPLE, Glewlwyd, why_not
from tests.support.resources import short_directory

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
ADDRESS = "192.0.2.7"
CONSOLE = "http://127.0.0.1:8480"


@pytest.fixture(scope="module")
def provider() -> Iterator[Glewlwyd]:
    """Start a provider that knows a console at CONSOLE."""
    with short_directory() as place, Glewlwyd(place / "provider") as provider:
        provider.add_client(CONSOLE)
        yield provider


class Clocks:
    """Both clocks of a sign-in: `later` moves the monotonic one, `off` the time of day."""

    def __init__(self) -> None:
        self.later = 0.0
        self.off = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.later

    def now(self) -> float:
        """The time of day."""
        return time.time() + self.off


def sign_in(provider: Glewlwyd, clocks: Clocks | None = None, /, **changes: str) -> OidcSignIn:
    """The sign-in of a console with these settings."""
    environ = {"STATE_DIRECTORY": "/srv", **provider.settings(**changes)}
    clocks = clocks or Clocks()
    return OidcSignIn(load_settings(Path("/dev/null"), environ), clocks.monotonic, clocks.now)


def go(provider: Glewlwyd, oidc: OidcSignIn, name: str) -> tuple[str, dict[str, str]]:
    """The cookie of a sign-in that a person has begun, and the answer that the provider has sent back."""
    url, cookie = oidc.begin("/folders")
    back = provider.send_back(name, url)
    assert back.startswith(f"{CONSOLE}/sign-in/oidc/back?")
    return cookie, dict(parse_qsl(urlsplit(back).query))


def signed_in(provider: Glewlwyd, oidc: OidcSignIn, name: str) -> SignedIn:
    """A person who has signed in."""
    cookie, answer = go(provider, oidc, name)
    return oidc.finish(cookie, answer, ADDRESS)


def refused(provider: Glewlwyd, oidc: OidcSignIn, name: str = "anna") -> SignInFailed:
    """Why a person is not signed in who has signed in at the provider."""
    with pytest.raises(SignInFailed) as caught:
        signed_in(provider, oidc, name)
    return caught.value


def test_the_provider_says_who_it_is_and_in_which_groups(provider: Glewlwyd) -> None:
    """Administrators are the members of a group. The browser comes back to the page that was wanted."""
    done = signed_in(provider, sign_in(provider), "anna")
    assert (done.person.user, done.person.admin, done.person.how, done.to) == ("anna", True, "oidc", "/folders")
    assert (done.person.address, done.person.groups) == (ADDRESS, ("Console Admins", "Staff"))
    bert = signed_in(provider, sign_in(provider), "bert").person
    assert (bert.user, bert.admin, bert.groups) == ("bert", False, ("Staff",))


def test_by_default_a_person_is_the_sub(provider: Glewlwyd) -> None:
    """A name that people may choose at the provider would let one be another."""
    done = signed_in(provider, sign_in(provider, OIDC_NAME_CLAIM="sub"), "bert")
    assert done.person.user == done.tokens.subject != "bert"
    exact = sign_in(provider, ADMINISTRATORS=f"x; sub:{done.tokens.subject}", MEMBERS="none")
    assert signed_in(provider, exact, "bert").person.admin
    assert refused(provider, exact).reason is Reason.GROUPS


@pytest.mark.parametrize("group", ["console admins", "Console", "Console Admins2", "*", ".*", "anna", "sub:anna"])
def test_a_group_is_compared_exactly(provider: Glewlwyd, group: str) -> None:
    """No pattern, no part, no other case."""
    assert not signed_in(provider, sign_in(provider, ADMINISTRATORS=group), "anna").person.admin


def test_a_group_of_the_provider_cannot_become_a_person(provider: Glewlwyd) -> None:
    """Where a sub is in the settings, a group with this name counts nothing."""
    anna = signed_in(provider, sign_in(provider), "anna").tokens.subject
    provider.set_groups("bert", f"sub:{anna}", "Staff")
    try:
        bert = signed_in(provider, sign_in(provider, ADMINISTRATORS=f"sub:{anna}"), "bert").person
        assert (bert.admin, bert.groups) == (False, ("Staff",))
    finally:
        provider.set_groups("bert", *PEOPLE["bert"])


def test_who_is_in_no_group_may_not_sign_in(provider: Glewlwyd) -> None:
    """The sentence has the name, so that a person knows with which account this was."""
    only = sign_in(provider)
    assert signed_in(provider, only, "bert").person.user == "bert"
    failure = refused(provider, only, "carla")
    assert (failure.reason, failure.user) == (Reason.GROUPS, "carla")


def test_only_the_browser_that_began_signs_in(provider: Glewlwyd) -> None:
    """With its cookie and its state, within ten minutes, and once."""
    clocks = Clocks()
    oidc = sign_in(provider, clocks)
    cookie, answer = go(provider, oidc, "anna")
    other = oidc.begin("/")[1]
    stolen = [("", answer), (other, answer), (cookie, answer | {"state": "x"}), (cookie[:-4] + "AAAA", answer)]
    stolen += [(oidc.typed.seal(text), answer) for text in (oidc.begun.open(cookie), {"state": answer["state"]})]
    for wrong_cookie, wrong_answer in [*stolen, (cookie, {"code": answer["code"], "iss": answer["iss"]})]:
        with pytest.raises(SignInFailed) as caught:
            oidc.finish(wrong_cookie, wrong_answer, ADDRESS)
        assert caught.value.reason is Reason.STATE
    clocks.off = BEGUN_SECONDS + 1
    with pytest.raises(SignInFailed, match="state_lost"):
        oidc.finish(cookie, answer, ADDRESS)
    clocks.off = 0
    assert oidc.finish(cookie, answer, ADDRESS).person.user == "anna"
    with pytest.raises(SignInFailed) as caught:
        oidc.finish(cookie, answer, ADDRESS)
    assert caught.value.reason is Reason.CODE


def test_a_code_of_another_sign_in_is_refused(provider: Glewlwyd) -> None:
    """The provider checks the verifier (PKCE), and the console the nonce."""
    oidc = sign_in(provider)
    _, stolen = go(provider, oidc, "anna")
    cookie, answer = go(provider, oidc, "bert")
    with pytest.raises(SignInFailed) as caught:
        oidc.finish(cookie, answer | {"code": stolen["code"]}, ADDRESS)
    assert caught.value.reason is Reason.CODE
    cookie, answer = go(provider, oidc, "bert")
    begun = oidc.begun.open(cookie)
    with pytest.raises(SignInFailed, match="nonce"):
        oidc.finish(oidc.begun.seal(begun | {"nonce": "x"}), answer, ADDRESS)


def test_an_answer_of_another_provider_is_refused(provider: Glewlwyd) -> None:
    """By its name in the answer (RFC 9207)."""
    oidc = sign_in(provider)
    cookie, answer = go(provider, oidc, "anna")
    with pytest.raises(SignInFailed) as caught:
        oidc.finish(cookie, answer | {"iss": "https://evil.example.com"}, ADDRESS)
    assert caught.value.reason is Reason.ISSUER


def test_a_provider_of_another_name_is_refused(provider: Glewlwyd) -> None:
    """The log has both names."""
    other = sign_in(provider, OIDC_ISSUER=provider.issuer.replace("localhost", "127.0.0.1"))
    with pytest.raises(SignInFailed, match=r"localhost.*127") as caught:
        other.begin("/")
    assert caught.value.reason is Reason.ISSUER


def test_what_the_provider_refuses_is_said(provider: Glewlwyd) -> None:
    """A person whom it does not know yet must not be asked for a password here."""
    oidc = sign_in(provider)
    url, cookie = oidc.begin("/")
    trusted = ssl.create_default_context(cafile=str(provider.ca_file))
    for query, reason in (("&prompt=none", Reason.REFUSED), ("&request=x", Reason.CLIENT)):
        there = httpx.get(url + query, verify=trusted).headers["location"]
        with pytest.raises(SignInFailed) as caught:
            oidc.finish(cookie, dict(parse_qsl(urlsplit(there).query)), ADDRESS)
        assert caught.value.reason is reason, there


@pytest.mark.parametrize(("off", "minutes"), [(-600, 10), (7200, 120)])
def test_a_clock_that_is_off_is_named(provider: Glewlwyd, off: float, minutes: int) -> None:
    """With the difference."""
    clocks = Clocks()
    clocks.off = off
    failure = refused(provider, sign_in(provider, clocks))
    assert (failure.reason, failure.minutes) == (Reason.CLOCK, minutes)


def test_a_wrong_secret_is_the_administrators_matter(provider: Glewlwyd, tmp_path: Path) -> None:
    """So is a file that is not there."""
    (tmp_path / "secret").write_text("wrong\n")
    for name in ("secret", "none"):
        oidc = sign_in(provider, OIDC_CLIENT_SECRET_FILE=str(tmp_path / name))
        with pytest.raises(SignInFailed) as caught:
            signed_in(provider, oidc, "anna")
        assert caught.value.reason is Reason.CLIENT


def test_a_claim_that_is_no_name_is_refused(provider: Glewlwyd) -> None:
    """Also an email address that the provider has not verified."""
    for claim in ("nickname", "groups", "email"):
        assert refused(provider, sign_in(provider, OIDC_NAME_CLAIM=claim)).reason is Reason.NAME


def test_the_provider_must_have_a_valid_certificate(provider: Glewlwyd) -> None:
    """Nothing of it is believed without."""
    with pytest.raises(SignInFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
        sign_in(provider, OIDC_CA_FILE="").begin("/")
    assert caught.value.reason is Reason.AWAY


def test_a_provider_that_is_away_is_asked_again_after_five_seconds(provider: Glewlwyd) -> None:
    """Not for each browser that asks."""
    clocks = Clocks()
    oidc = sign_in(provider, clocks)
    provider.stop()
    try:
        with pytest.raises(SignInFailed) as caught:
            oidc.begin("/")
        assert caught.value.reason is Reason.AWAY
    finally:
        provider.start()
    with pytest.raises(SignInFailed):
        oidc.begin("/")
    clocks.later += 5
    assert oidc.begin("/")


def test_groups_are_asked_for_again_after_fifteen_minutes(provider: Glewlwyd) -> None:
    """A person who lost a group loses its rights; who lost all, or was disabled, is signed out."""
    clocks = Clocks()
    oidc = sign_in(provider, clocks)
    done = signed_in(provider, oidc, "anna")
    session = Session(done.person, 0.0, 0.0, REFRESH_SECONDS, done.tokens)
    try:
        provider.set_groups("anna", "Staff")
        assert oidc.refresh(session)
        assert session.person.admin
        clocks.later += REFRESH_SECONDS
        assert oidc.refresh(session)
        assert session.person == replace(done.person, admin=False, groups=("Staff",))
        clocks.later += REFRESH_SECONDS
        provider.stop()
        assert oidc.refresh(session)
        provider.start()
        provider.set_groups("anna", "Console")
        clocks.later += 60
        assert not oidc.refresh(session)
    finally:
        provider.set_groups("anna", *PEOPLE["anna"])


@pytest.mark.parametrize("with_refresh_token", [True, False])
def test_a_person_who_was_removed_is_signed_out(provider: Glewlwyd, *, with_refresh_token: bool) -> None:
    """With a refresh token, and with the access token only."""
    clocks = Clocks()
    oidc = sign_in(provider, clocks)
    done = signed_in(provider, oidc, "bert")
    assert done.tokens.refresh
    tokens = done.tokens if with_refresh_token else replace(done.tokens, refresh="")
    session = Session(done.person, 0.0, 0.0, 0.0, tokens)
    assert oidc.refresh(session)
    provider.remove("bert")
    clocks.later += REFRESH_SECONDS
    try:
        assert not oidc.refresh(session)
    finally:
        provider.add("bert")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"MEMBERS": ""}, "members"),
        ({"MEMBERS": " ; "}, "members"),
        ({"OIDC_CLIENT_ID": ""}, "oidc_client_id"),
        ({"OIDC_CLIENT_SECRET_FILE": ""}, "oidc_client_secret_file"),
        ({"OIDC_CA_FILE": "/dev/null"}, "oidc_ca_file"),
        ({"OIDC_ISSUER": "http://sso.example.com"}, "oidc_issuer"),
        ({"OIDC_SCOPES": "profile"}, "oidc_scopes"),
    ],
)
def test_settings_that_cannot_work_are_refused(provider: Glewlwyd, changes: dict[str, str], reason: str) -> None:
    """With the reason, before anybody signs in."""
    with pytest.raises(SettingsError) as caught:
        sign_in(provider, **changes)
    assert reason in str(caught.value)


def test_the_console_needs_an_address_with_tls(provider: Glewlwyd) -> None:
    """But for one on this machine only: the code would cross the network in plain text."""
    environ = {"STATE_DIRECTORY": "/srv", "CONTACTSYNC_WEB__URL": "http://contacts.example.com", **provider.settings()}
    with pytest.raises(SettingsError, match="https"):
        OidcSignIn(load_settings(Path("/dev/null"), environ))
