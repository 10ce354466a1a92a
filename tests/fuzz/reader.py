"""The fuzz target: atheris makes inputs that reach new branches of the reader. The arguments are libFuzzer's options.

    python -m tests.fuzz.seeds .fuzz
    python -m tests.fuzz.reader .fuzz/corpus .fuzz/seeds -dict=.fuzz/dictionary -max_total_time=600
    python -m tests.fuzz.reader FILE      # one input again, with its traceback

The first three octets of an input choose the operation, the size of the pieces and the buffer. An input is a find if
anything but our own error is raised, if the pieces make a difference, or if the second reading differs. It is also one
if the buffer is larger than the input, or if ldap3 reads something else.
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
"""Octets of a message: fewer than some seeds have, so that the limit is reached."""


def one_input(octets: bytes) -> None:
    """Read one input in several ways; raises AssertionError if the results differ."""
    if len(octets) < HEAD:
        return
    answer, piece, capacity = _ANSWERS[octets[0] % len(_ANSWERS)], 1 + octets[1], 16 + octets[2]
    stream = octets[HEAD:]
    in_pieces = _outcome(stream, piece, capacity, answer)
    assert in_pieces == _outcome(stream, LONGEST_INPUT, LONGEST_INPUT, answer), "the pieces make a difference"
    for message in messages(stream):
        _compare(message, answer)


def _outcome(stream: bytes, piece: int, capacity: int, answer: int) -> Answer | str:
    """The answer, or the error's message."""
    try:
        return read(stream, [piece], capacity=capacity, limit=_LIMIT, answer=answer)
    except REFUSED as error:
        return error.message


def _compare(message: bytes, answer: int) -> None:
    """Either decoder may refuse a message, but they must agree if both accept it."""
    with suppress(*REFUSED, PyAsn1Error):
        ours = said_to_us(message, answer)
        assert said_to_us(message, answer) == ours, "the second reading differs"
        assert agree(ours, said_by_strict_decoder(message)), "ldap3 reads something else"


def main() -> None:
    """Run until the limit or a find; libFuzzer ends the process."""
    program, *options = sys.argv
    atheris.Setup([program, f"-max_len={LONGEST_INPUT}", *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
