"""Sign-in codes of the web console: issued to users of the control socket, redeemed by the console's process."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field

from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.errors import SignInCodeUnknown

router = APIRouter(tags=["console"])


class NewSignInCode(BaseModel):
    """A code that signs one browser in as an administrator, once."""

    code: str = Field(description="It is shown only now.")
    expires_at: datetime


class SignInCodeRequest(BaseModel):
    """A code to redeem."""

    code: str = Field(max_length=200, examples=["pX2c"])


class RedeemedSignInCode(BaseModel):
    """A code that was valid until now."""

    user: str = Field(description="The user of the daemon's machine who got the code.", examples=["root"])


@router.post("/console/sign-in-codes", status_code=HTTPStatus.CREATED)
def add_sign_in_code(context: Context, actor: CurrentActor) -> NewSignInCode:
    """Issue a code that signs an administrator in at the web console, once, within five minutes."""
    issued = context.sign_in_codes.issue(actor.name)
    return NewSignInCode(code=issued.code, expires_at=issued.expires_at)


@router.post("/console/sign-in-codes/redeem")
def redeem_sign_in_code(given: SignInCodeRequest, context: Context) -> RedeemedSignInCode:
    """Redeem a code. It is for the process of the console."""
    user = context.sign_in_codes.redeem(given.code)
    if user is None:
        raise SignInCodeUnknown(
            "The link is not valid: it was used already, it has expired, or the daemon was restarted.",
            hint="Make a new one on the daemon's machine: contactsync web sign-in",
        )
    return RedeemedSignInCode(user=user)
