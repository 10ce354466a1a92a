"""How far a definition is in sync with an OpenLDAP server, and how much of that is certain.

slapd moves its contextCSN before its session log or access log has the change. A request at that moment gets the new
cookie without the deletion, and a later request from that cookie never gets it. (Seen with OpenLDAP 2.5: 31 of 3,000
deletions with an access log.) So each request starts from a position that was requested again SETTLE_SECONDS after it
was first seen. To get the same change twice does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SETTLE_SECONDS = 15.0
"""How long after a contextCSN was seen the logs may still lack a change that it covers."""
OVERLAP_SECONDS = 2.0
"""The seconds before the newest CSN that an earlier request covers again."""

_CSN = re.compile(r"(?P<time>\d{14}\.\d{6})Z#[0-9a-f]{6}#(?P<sid>[0-9a-f]{3})#[0-9a-f]{6}")
_TIME = "%Y%m%d%H%M%S.%f"
_POSITION = re.compile(
    r"csn=(?P<newest>[^ ]+) certain=(?P<certain>[^ ]+) pending=(?P<pending>[^ ]+) at=(?P<at>\d{1,12})"
)

Csns = dict[str, str]
"""The newest change sequence number of each server id. Numbers of one id sort by age as text."""


def csns_of(values: Iterable[str]) -> Csns:
    """The well-formed CSNs among these, by the id of the server that made them."""
    matches = (_CSN.fullmatch(value) for value in values)
    return {match["sid"]: match[0] for match in matches if match}


def csns_of_cookie(cookie: bytes) -> Csns:
    """The CSNs of a cookie; empty for a cookie of another form than slapd's."""
    text = cookie.decode("ascii", "replace")
    form = re.fullmatch(r"rid=\d{3}(?:,sid=[0-9a-f]{3})?,csn=([^,]+)", text)
    return _whole(form[1]) if form else {}


def cookie_of(csns: Csns) -> bytes:
    """A cookie that requests everything after these CSNs."""
    return f"rid=000,csn={_joined(csns)}".encode()


def any_newer(csns: Csns, than: Csns) -> bool:
    """Whether any server has a newer CSN in `csns` than in `than`."""
    return any(csn > than.get(sid, "") for sid, csn in csns.items())


@dataclass(frozen=True, slots=True)
class Position:
    """`newest` came with the last response. Everything up to `certain` was requested after the logs were complete.

    `pending` was the newest at `pending_at` (seconds since 1970). A request SETTLE_SECONDS later makes it certain.
    """

    newest: Csns
    certain: Csns
    pending: Csns
    pending_at: int = 0

    @classmethod
    def certain_at(cls, csns: Csns) -> Position:
        """The position after a full search that began when the server had these CSNs."""
        return cls(csns, csns, csns)

    @classmethod
    def parse(cls, value: bytes) -> Position | None:
        """The position that `encode` wrote; None for anything else."""
        match = _POSITION.fullmatch(value.decode("ascii", "replace"))
        parts = [_whole(match[name]) for name in ("newest", "certain", "pending")] if match else []
        return cls(parts[0], parts[1], parts[2], int(match["at"])) if match and all(parts) else None

    def encode(self) -> bytes:
        """The position as octets, to be stored."""
        newest, certain, pending = map(_joined, (self.newest, self.certain, self.pending))
        return f"csn={newest} certain={certain} pending={pending} at={self.pending_at}".encode()

    @property
    def is_certain(self) -> bool:
        """Whether nothing up to the newest CSN can still be missing."""
        return self.certain == self.newest

    def settles_in(self, now: float) -> float:
        """Seconds until a request can make `pending` certain. A clock that was set back restarts the wait."""
        return max(0.0, SETTLE_SECONDS - max(0.0, now - self.pending_at)) if self.pending_at else 0.0

    def origin(self, now: float) -> Csns:
        """The start of the next request: `certain` if `pending` can be settled now, else a short overlap."""
        if not self.settles_in(now):
            return self.certain
        return {sid: max(self.certain.get(sid, ""), _earlier(csn)) for sid, csn in self.newest.items()}

    def after(self, csns: Csns, *, asked_at: float) -> Position:
        """The position after a response up to `csns` to a request at `asked_at` (seconds since 1970)."""
        if self.settles_in(asked_at):
            return Position(csns, self.certain, self.pending, min(self.pending_at, int(asked_at)))
        certain = self.pending
        return Position(csns, certain, csns, 0 if certain == csns else int(asked_at))


def _whole(text: str) -> Csns:
    values = text.split(";")
    csns = csns_of(values)
    return csns if len(csns) == len(values) else {}


def _joined(csns: Csns) -> str:
    return ";".join(csns[sid] for sid in sorted(csns))


def _earlier(csn: str) -> str:
    """The first CSN of the moment OVERLAP_SECONDS before this one, of the same server."""
    match = _CSN.fullmatch(csn)
    if match is None:
        return ""
    time = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC) - timedelta(seconds=OVERLAP_SECONDS)
    return f"{time.strftime(_TIME)}Z#000000#{match['sid']}#000000"
