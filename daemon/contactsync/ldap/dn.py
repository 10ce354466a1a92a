"""Parses distinguished names (RFC 4514), with the quoted values, semicolons and spaces of RFC 2253.

ldap3's parser refuses legal names such as `OU=C# team`, an OID as a type, or an unescaped equals sign in a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from contactsync.errors import QueryError
from contactsync.ldap.query.address import parse_host_name
from contactsync.ldap.query.text import shown
from contactsync.text import lower

_ESCAPED = r"""\\(?:[0-9A-Fa-f]{2}|[ "#+,;<=>\\/])"""  # \/ is from ADSI paths
_PAIR = re.compile(
    rf"""\s*+ (?P<type> [A-Za-z][\w-]*+ | (?:[Oo][Ii][Dd]\.)?+ [0-9]++ (?:\.[0-9]++)*+ ) \s*+ = \s*+
        (?: "(?P<quoted> (?: [^"\\] | {_ESCAPED} )*+ )"
          | (?!") (?P<plain> (?: [^,+;\\\s] | {_ESCAPED} | \s++(?=[^,+;]) )*+ ) )
        \s*+ (?P<end> [,;+] | \Z )""",
    re.VERBOSE | re.ASCII,
)
"""One type and value with the separator behind it. Possessive quantifiers keep the time linear in the length."""
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_HEX_VALUE = re.compile(r"#(?:[0-9A-Fa-f]{2})+")
_TO_ESCAPE = re.compile(r'\\.|["+,;<>]|^[ #]| \Z', re.DOTALL)
_SPECIAL = re.compile(r'[\\,+;"<>=\x00-\x1f\x7f]')
_BY_IDENTITY = re.compile(r"<(?:GUID|SID|WKGUID)=[^<>]+>", re.IGNORECASE | re.ASCII)
"""Active Directory's names for an object wherever it is moved ([MS-ADTS])."""
_DOMAIN_COMPONENT = frozenset({"dc", "0.9.2342.19200300.100.1.25"})


def canonical_dn(dn: str) -> str:
    """The DN in the form of RFC 4514, or one of Active Directory's `<GUID=…>`; raises QueryError."""
    if _BY_IDENTITY.fullmatch(dn):
        return dn
    return "".join(f"{pair['type']}={_canonical_value(pair)}{pair['end'].replace(';', ',')}" for pair in _pairs(dn))


def comparison_key(dn: str) -> str:
    """One text for all spellings of a DN: case, white space, escapes and the order in an RDN make no difference.

    Close to the string preparation of RFC 4518, section 2, whose case folding this is. Raises QueryError.
    """
    rdns: list[list[str]] = [[]]
    for pair in _pairs(dn):
        rdns[-1].append(f"{pair['type'].lower()}={_prepared(_value(pair))}")
        if pair["end"] not in {"", "+"}:
            rdns.append([])
    return ",".join("+".join(sorted(rdn)) for rdn in rdns)


@lru_cache(maxsize=10_000)
def group_key(name: str) -> str:
    """One text for all spellings of the name of a group: a DN, or a name in any case."""
    try:
        return comparison_key(name)
    except QueryError:
        return lower(name)


def is_within(dn: str, base: str) -> bool:
    """Whether a DN is `base` or below it; False if either is no DN."""
    try:
        return f",{comparison_key(dn)}".endswith(f",{comparison_key(base)}")
    except QueryError:
        return False


def first_value(dn: str) -> str | None:
    r"""The value of the first RDN without its escapes: `Smith, John` of `CN=Smith\, John,OU=x`; None for no DN."""
    pair = _PAIR.match(dn)
    return _value(pair) if pair else None


def first_rdn(dn: str) -> str:
    r"""The first RDN with its escapes: `CN=Smith\, John` of `CN=Smith\, John,OU=x`; the whole text for no DN."""
    position = 0
    while pair := _PAIR.match(dn, position):
        if pair["end"] != "+":
            return dn[: pair.start("end")].strip()
        position = pair.end()
    return dn


def parent_of(dn: str) -> str:
    """The DN without its first RDN; "" at the top, and for no DN."""
    return dn.lstrip()[len(first_rdn(dn)) :].lstrip(" ,;")


def domain_of(dn: str) -> str | None:
    """The DNS domain of the DC components at the end of a DN (RFC 2247), in lower case; None without them."""
    if _BY_IDENTITY.fullmatch(dn):
        return None
    labels: list[str] = []
    previous_end = ","
    for pair in _pairs(dn):
        if "+" in {previous_end, pair["end"]} or pair["type"].lower() not in _DOMAIN_COMPONENT:
            labels.clear()
        else:
            labels.append(_canonical_value(pair))
        previous_end = pair["end"]
    try:
        return parse_host_name(".".join(labels)) if labels else None
    except QueryError:
        return None


def _pairs(dn: str) -> Iterator[re.Match[str]]:
    position, end = 0, ","
    while end:
        pair = _PAIR.match(dn, position)
        if pair is None:
            raise QueryError(f"{shown(dn[position:])} is not a part of a distinguished name, such as OU=Users.")
        yield pair
        position, end = pair.end(), pair["end"]


def _canonical_value(pair: re.Match[str]) -> str:
    value: str = pair["plain"] if pair["quoted"] is None else pair["quoted"]
    if not value:
        raise QueryError(f"{shown(pair.group())} has no value.")
    if pair["plain"] and _HEX_VALUE.fullmatch(value):
        return value
    return _TO_ESCAPE.sub(_escaped, value)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == r"\/":
        return "/"
    return found if found.startswith("\\") else f"\\{found}"


def _value(pair: re.Match[str]) -> str:
    escaped = pair["plain"] if pair["quoted"] is None else pair["quoted"]
    if "\\" not in escaped:
        return escaped
    return _ESCAPE.sub(_unescaped, escaped.encode()).decode("utf-8", "backslashreplace")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    escaped = escape[1]
    return bytes.fromhex(escaped.decode()) if len(escaped) == len("5c") else escaped


def _prepared(value: str) -> str:
    folded = unicodedata.normalize("NFC", " ".join(value.split()).casefold())
    return _SPECIAL.sub(lambda special: f"\\{ord(special[0]):02x}", folded)
