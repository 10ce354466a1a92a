"""The text of a token: random, and recognised if it was mistyped."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from contactsync.credentials.tokens import contains_token, digest_of, is_complete, new_token


def test_a_token_has_256_random_bits() -> None:
    """And its digest is that of the whole text."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == len(set(map(digest_of, tokens))) == 100
    for token in tokens:
        assert re.fullmatch(r"cs_[0-9a-f]{64}[0-9a-f]{8}", token)
        assert is_complete(token)
        assert contains_token(f"/v1/status?x={token}&y")


@given(st.integers(0, 74), st.sampled_from("0123456789abcdefx "))
def test_a_mistyped_character_is_detected(place: int, typed: str) -> None:
    """Also two that were swapped, and a token that was cut."""
    token = new_token()
    changed = token[:place] + typed + token[place + 1 :]
    assert is_complete(changed) is (changed == token)
    swapped = token[:place] + token[place : place + 2][::-1] + token[place + 2 :]
    assert is_complete(swapped) is (swapped == token)
    assert not is_complete(token[:place])
