"""Takes distinguished names apart (RFC 4514 section 3, and the quoted values and semicolons of RFC 2253)."""

from __future__ import annotations

import re
import unicodedata

_PAIR = re.compile(
    r"""\s*+ (?P<type>[A-Za-z0-9][\w.-]*+) \s*+ = \s*+
        (?: "(?P<quoted> (?: [^"\\] | \\. )*+ )"
          | (?P<plain> (?: [^,+;\\\s] | \\. | \s++(?=[^,+;]) )*+ ) )
        \s*+ (?P<end> [,;+] | \Z )""",
    re.VERBOSE | re.DOTALL,
)
"""One type and value with what follows. Possessive throughout: the time is linear in the length, whatever is sent."""
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_SPECIAL = re.compile(r'[\\,+;"<>=\x00-\x1f\x7f]')


def first_value(dn: str) -> str | None:
    r"""The value of the first RDN without its escapes: `Smith, John` of `CN=Smith\, John,OU=x`; None for no DN."""
    pair = _PAIR.match(dn)
    return _value(pair) if pair else None


def first_rdn(dn: str) -> str:
    r"""The first RDN as it is written: `CN=Smith\, John` of `CN=Smith\, John,OU=x`; the whole text for no DN."""
    pos = 0
    while pair := _PAIR.match(dn, pos):
        if pair["end"] != "+":
            return dn[: pair.end()].removesuffix(pair["end"]).strip()
        pos = pair.end()
    return dn


def normalise(dn: str) -> str:
    """One text for all spellings of a DN: case, white space, escapes and the order in an RDN make no difference.

    Close to the string preparation of RFC 4518 section 2, whose case folding this is. ValueError when it is no DN.
    """
    rdns: list[list[str]] = [[]]
    pos = 0
    while pair := _PAIR.match(dn, pos):
        rdns[-1].append(f"{pair['type'].lower()}={_prepared(_value(pair))}")
        if not pair["end"]:
            return ",".join("+".join(sorted(rdn)) for rdn in rdns)
        if pair["end"] != "+":
            rdns.append([])
        pos = pair.end()
    msg = "not a distinguished name"
    raise ValueError(msg)


def _value(pair: re.Match[str]) -> str:
    escaped = pair["plain"] if pair["quoted"] is None else pair["quoted"]
    if "\\" not in escaped:
        return escaped
    return _ESCAPE.sub(_unescaped, escaped.encode()).decode("utf-8", "backslashreplace")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    """A pair of hex digits is one octet (of UTF-8); any other character stands for itself."""
    escaped = escape[1]
    return bytes.fromhex(escaped.decode()) if len(escaped) == len("5c") else escaped


def _prepared(value: str) -> str:
    folded = unicodedata.normalize("NFC", " ".join(value.split()).casefold())
    return _SPECIAL.sub(lambda special: f"\\{ord(special[0]):02x}", folded)
