"""GeneralizedTime (RFC 4517, section 3.3.13) in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime

_FORM = "%Y%m%d%H%M%S"
_LENGTH = 14


def parse_generalized_time(text: str) -> datetime | None:
    """The time, without the fraction of a second that may follow; None for any other text."""
    try:
        return datetime.strptime(text[:_LENGTH], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def format_generalized_time(moment: datetime) -> str:
    """Fourteen digits."""
    return moment.strftime(_FORM)
