"""Writes the fuzzer's seeds, sound messages in many forms, and a dictionary of octets in LDAP messages."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from contactsync.ldap.protocol.requests import PAGED_RESULTS
from tests.support.messages import BIND_RESPONSE, EXTENDED_RESPONSE, SHORTEST, Attributes, Encoder

SEED = 4
_STREAMS = 60
_NAMES = (b"cn", b"mail", b"objectClass", b"member;range=0-1499", b"cn;lang-de", b"2.5.4.3", b"jpegPhoto", b"\xc3\xbc")
_WORDS = (b"", b"Anna", b"top", b"person", b"\xff\xfe", b"anna@example.com", b"x" * 0x77, b"y" * 0x80, b"z" * 0x100)
_DNS = (b"", b"cn=Anna,dc=example", b"cn=\xff\x00", b"o=a")
_TAGS = "02 04 0a 30 31 61 64 65 73 78 79 8a 8b a0 a3"
_LENGTHS = "80 81 8200 8400000000 84ffffffff 887fffffffffffffff fe ff"
_WHOLE = "020105 020100 0a010004000400 30050201056400 0400 3100"
_TOKENS = (
    *(bytes.fromhex(token) for token in f"{_TAGS} {_LENGTHS} {_WHOLE}".split()),
    PAGED_RESULTS.encode(),
    b"1.3.6.1.4.1.1466.20036",
    b";range=",
)


def write(folder: Path) -> None:
    """Write `seeds/`, a file for each message stream, and `dictionary`; they are always the same."""
    chance = random.Random(SEED)  # noqa: S311 -- repeatable
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    for number in range(_STREAMS):
        (folder / "seeds" / f"{number:02}").write_bytes(_input(chance))
    lines = ('"' + "".join(f"\\x{octet:02x}" for octet in token) + '"' for token in _TOKENS)
    (folder / "dictionary").write_text("\n".join(lines) + "\n")


def _input(chance: random.Random) -> bytes:
    """The three octets of options, and a stream."""
    encoder = Encoder(chance.choices([SHORTEST, SHORTEST, SHORTEST, 1, 2, 4], k=5))
    asked = chance.randrange(4)  # as in the target: half of them are searches, then a bind and an extended operation
    stream = _of_a_search(chance, encoder) if asked < 2 else _result(chance, encoder, asked)
    return bytes((asked, chance.randrange(256), chance.randrange(256))) + stream


def _of_a_search(chance: random.Random, encoder: Encoder) -> bytes:
    makers: list[Callable[[], bytes]] = [
        lambda: encoder.entry(chance.choice(_DNS), _attributes(chance)),
        lambda: encoder.entry(chance.choice(_DNS), _attributes(chance), [(b"1.2.3", b"value")]),
        lambda: encoder.reference(b"ldap://elsewhere.example/"),
        lambda: encoder.intermediate(b"1.3.6.1.4.1.4203.1.9.1.4", b"value"),
        lambda: encoder.notification(chance.choice((b"1.2.3", b"1.3.6.1.4.1.1466.20036"))),
    ]
    before = chance.choices(makers, weights=[6, 1, 1, 1, 1], k=chance.randrange(4))
    page = [encoder.page(chance.choice(_WORDS))] if chance.random() < 0.7 else []
    return b"".join([*(make() for make in before), encoder.done(_components(chance, encoder), page)])


def _result(chance: random.Random, encoder: Encoder, asked: int) -> bytes:
    """The response to a bind or to an extended operation."""
    tag = BIND_RESPONSE if asked == 2 else EXTENDED_RESPONSE
    return encoder.done(_components(chance, encoder) + encoder.tlv(0x8B, chance.choice(_WORDS)), tag=tag)


def _components(chance: random.Random, encoder: Encoder) -> bytes:
    uris = [b"ldap://a/"] * chance.randrange(3)
    return encoder.ldap_result(chance.choice((0, 3, 10, 49, 51)), chance.choice(_DNS), chance.choice(_WORDS), uris)


def _attributes(chance: random.Random) -> Attributes:
    return [(chance.choice(_NAMES), chance.choices(_WORDS, k=chance.randrange(3))) for _ in range(chance.randrange(5))]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
