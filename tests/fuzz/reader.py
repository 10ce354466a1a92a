"""Feeds the reader what atheris makes up, led by the branches that it reaches: libFuzzer's options are the arguments.

    python -m tests.fuzz.seeds .fuzz
    python -m tests.fuzz.reader .fuzz/corpus .fuzz/seeds -dict=.fuzz/dictionary -max_total_time=600
    python -m tests.fuzz.reader FILE      # what came of one input again, with its traceback

The first three octets of an input say what was asked, and in which pieces into how large a buffer the others go. An
input is a find when anything but an error of ours is raised, when the pieces make a difference, when a message read
again is another, when more is kept than came, and when ldap3 understands something else.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["contactsync"]):
    from tests.support.decoders import (
        REFUSED,
        Answer,
        agree,
        messages,
        read,
        said_by_strict_decoder,
        said_to_us,
    )

from pyasn1.error import PyAsn1Error

from tests.support.messages import BIND_RESPONSE, DONE, EXTENDED_RESPONSE

HEAD = 3
LONGEST_INPUT = 2048
_ANSWERS = (DONE, DONE, BIND_RESPONSE, EXTENDED_RESPONSE)
_LIMIT = 800
"""Octets of a message: fewer than some of the first inputs have, so that the limit is met."""


def one_input(octets: bytes) -> None:
    """Read one input in every way that has to come to the same; AssertionError where it does not."""
    if len(octets) < HEAD:
        return
    answer, piece, capacity = _ANSWERS[octets[0] % len(_ANSWERS)], 1 + octets[1], 16 + octets[2]
    stream = octets[HEAD:]
    in_pieces = _outcome(stream, piece, capacity, answer)
    assert in_pieces == _outcome(stream, LONGEST_INPUT, LONGEST_INPUT, answer), "the pieces make a difference"
    for message in messages(stream):
        _compare(message, answer)


def _outcome(stream: bytes, piece: int, capacity: int, answer: int) -> Answer | str:
    """What came of reading: an answer, or the sentence of the error."""
    try:
        return read(stream, [piece], capacity=capacity, limit=_LIMIT, answer=answer)
    except REFUSED as error:
        return error.message


def _compare(message: bytes, answer: int) -> None:
    """Either decoder may refuse a message; what both accept they understand alike."""
    with suppress(*REFUSED, PyAsn1Error):
        ours = said_to_us(message, answer)
        assert said_to_us(message, answer) == ours, "the same octets are read in another way the second time"
        assert agree(ours, said_by_strict_decoder(message)), "ldap3 understands something else"


def main() -> None:
    """Go on until the time is over or something is found; libFuzzer ends the process."""
    program, *options = sys.argv
    atheris.Setup([program, f"-max_len={LONGEST_INPUT}", *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
