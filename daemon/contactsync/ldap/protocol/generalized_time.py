"""Moments as servers tell them: a GeneralizedTime (RFC 4517, section 3.3.13) in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime

_FORM = "%Y%m%d%H%M%S"
_LENGTH = 14


def read_moment(text: str) -> datetime | None:
    """What a server's text says, whatever fraction of a second follows; None when it is no time."""
    try:
        return datetime.strptime(text[:_LENGTH], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def write_moment(moment: datetime) -> str:
    """Fourteen digits, as `read_moment` takes them."""
    return moment.strftime(_FORM)
