"""What can go wrong at a sign-in by an OpenID provider, and the sentence that the person reads about it."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

from contactsync.text import printable
from contactsync.web.language import gettext as _
from contactsync.web.language import ngettext

_MOST_CHARACTERS = 1000


class Reason(StrEnum):
    """Why nobody was signed in."""

    AWAY = "provider_away"
    ISSUER = "wrong_issuer"
    CLIENT = "client_refused"
    ANSWER = "answer_not_valid"
    CLOCK = "clock_differs"
    STATE = "state_lost"
    CODE = "code_refused"
    REFUSED = "refused_by_provider"
    GROUPS = "in_no_group"
    NAME = "no_user_name"


OF_PROVIDER = frozenset({Reason.AWAY, Reason.ISSUER, Reason.CLIENT, Reason.ANSWER, Reason.CLOCK, Reason.NAME})
"""The reasons that an administrator has to look at; the others are a person's own."""


class SignInFailed(Exception):
    """Nobody was signed in. `message` is for the log; `user` and `minutes` are for the sentence."""

    def __init__(self, reason: Reason, message: str = "", *, user: str = "", minutes: int = 0) -> None:
        self.message = printable(message)[:_MOST_CHARACTERS]
        super().__init__(f"{reason}: {self.message}")
        self.reason = reason
        self.user = user
        self.minutes = minutes

    @property
    def code(self) -> str:
        """The code for the log."""
        return f"oidc.{self.reason}"

    @property
    def status(self) -> int:
        """The status of the page."""
        if self.reason in OF_PROVIDER:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.BAD_REQUEST if self.reason in {Reason.STATE, Reason.CODE} else HTTPStatus.FORBIDDEN


def sentence(failure: SignInFailed, provider: str) -> str:
    """What happened and what to do next, in the language of the request."""
    minutes = ngettext(
        "The clocks of this machine and of the provider differ by a minute. An administrator has to set them.",
        "The clocks of this machine and of the provider differ by %(minutes)d minutes. An administrator has to"
        " set them.",
        failure.minutes,
    )
    texts = {
        Reason.AWAY: _(
            "The provider %(provider)s does not answer. Try again in a minute. The console's log has the reason."
        ),
        Reason.ISSUER: _(
            "The provider has another name than in the console's settings. An administrator has to correct"
            " [sign_in] oidc_issuer; the console's log has both names."
        ),
        Reason.CLIENT: _(
            "The provider %(provider)s does not accept this console. An administrator has to compare its client id,"
            " its secret and its address with those of the provider; the console's log has the reason."
        ),
        Reason.ANSWER: _("The answer of the provider %(provider)s is not valid. The console's log has the reason."),
        Reason.CLOCK: minutes,
        Reason.STATE: _(
            "This sign-in was not begun in this browser, or more than ten minutes ago. Begin again; the browser must"
            " accept cookies of this page."
        ),
        Reason.CODE: _("The provider %(provider)s does not know this sign-in any more. Begin again."),
        Reason.REFUSED: _("The provider %(provider)s has refused the sign-in, or it was cancelled there."),
        Reason.GROUPS: _(
            "%(provider)s knows you as %(user)s, but you are in no group that may use this console. Ask an"
            " administrator for it."
        ),
        Reason.NAME: _(
            "The provider %(provider)s gives no valid user name for your account. An administrator has to correct"
            " [sign_in] oidc_name_claim, or the account."
        ),
    }
    return texts[failure.reason] % {"provider": provider, "user": failure.user, "minutes": failure.minutes}
