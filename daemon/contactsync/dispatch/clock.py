"""Notices when the wall clock is set, as time servers and resumed virtual machines do."""

from __future__ import annotations

import time

TOLERANCE_SECONDS = 2.0
"""Time servers move a clock by less while they correct its rate."""


class WallClock:
    """Compares the wall clock with the monotonic one, which cannot be set."""

    def __init__(self) -> None:
        self._offset = _offset()

    def jump(self) -> float:
        """The seconds by which the clock was set since the last call; 0 if it was not."""
        offset = _offset()
        jump = offset - self._offset
        if abs(jump) < TOLERANCE_SECONDS:
            return 0.0
        self._offset = offset
        return jump


def _offset() -> float:
    return time.time() - time.monotonic()
