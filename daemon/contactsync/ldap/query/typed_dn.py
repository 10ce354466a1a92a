"""Distinguished names as people type them, brought into the form of RFC 4514 that is sent to the server.

ldap3 has a parser of its own, but it refuses names that are legal and common: `OU=C# team`, an OID for a type,
an unescaped equals sign in a value, a space after the comma, quoted values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contactsync.errors import QueryError
from contactsync.ldap.query.address import parse_host_name
from contactsync.ldap.query.text import shown

_TYPE = r"(?:[A-Za-z][A-Za-z0-9-]*+|[0-9]++(?:\.[0-9]++)++)"
_PAIR = r"""\\(?:[0-9A-Fa-f]{2}|[ "#+,;<=>\\/])"""  # \/ is from ADSI paths
_PART = re.compile(
    rf"""\ *+(?P<type>{_TYPE})\ *+=\ *+
    (?: \#(?P<hex>(?:[0-9A-Fa-f]{{2}})++)\ *+
      | "(?P<quoted>(?:[^"\\]|{_PAIR})*+)"\ *+
      | (?P<plain>(?!\#)(?:[^"+,;<>\\]|{_PAIR})*+) )
    (?P<separator>[,+]|\Z)""",
    re.VERBOSE,
)
# The quantifiers are possessive (`*+`): a text that does not match is found out in one pass.
_BY_IDENTITY = re.compile(r"<(?:GUID|SID|WKGUID)=[^<>]+>", re.IGNORECASE | re.ASCII)
"""Active Directory's own forms, `<GUID=…>` and its like, which name an object wherever it is moved ([MS-ADTS])."""
_DOMAIN_COMPONENT = frozenset({"dc", "0.9.2342.19200300.100.1.25"})


@dataclass(frozen=True, slots=True)
class _Part:
    """One attributeTypeAndValue, its value still escaped, and what follows: a comma, a plus, or nothing."""

    type: str
    value: str
    separator: str


def normalise_dn(text: str) -> str:
    """The name in the form of RFC 4514: no spaces around the separators, quoted values escaped.

    RFC 2253 (section 4) asks that both are understood. QueryError says which part is not.
    """
    if _BY_IDENTITY.fullmatch(text):
        return text
    return "".join(f"{part.type}={part.value}{part.separator}" for part in _parts(text))


def domain_of(dn: str) -> str | None:
    """The DNS domain that the DC components at the end of a name stand for (RFC 2247), in lower case."""
    if _BY_IDENTITY.fullmatch(dn):
        return None
    parts = _parts(dn)
    before = [",", *(part.separator for part in parts)]
    labels: list[str] = []
    for part, separator_before in zip(reversed(parts), reversed(before[:-1]), strict=True):
        in_multi_valued_rdn = "+" in {separator_before, part.separator}
        if in_multi_valued_rdn or part.type.lower() not in _DOMAIN_COMPONENT:
            break
        labels.insert(0, part.value)
    try:
        return parse_host_name(".".join(labels)) if labels else None
    except QueryError:
        return None


def _parts(dn: str) -> list[_Part]:
    parts: list[_Part] = []
    position, separator = 0, ","
    while separator:
        match = _PART.match(dn, position)
        if match is None:
            raise QueryError(f"{shown(dn[position:])} is not a part of a distinguished name, such as OU=Users.")
        position, separator = match.end(), match["separator"]
        parts.append(_Part(match["type"], _value(match), separator))
    return parts


def _value(match: re.Match[str]) -> str:
    """The value in the escapes of RFC 4514, however it was written."""
    if match["hex"]:
        return f"#{match['hex']}"
    value = _without_last_spaces(match["plain"]) if match["quoted"] is None else _escape_quoted(match["quoted"])
    if not value:
        raise QueryError(f"{shown(match.group())} has no value.")
    return re.sub(r"\\(.)", lambda pair: "/" if pair[1] == "/" else pair[0], value)


def _without_last_spaces(value: str) -> str:
    stripped = value.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return f"{stripped} " if backslashes % 2 else stripped  # an odd one escapes the space after it


def _escape_quoted(value: str) -> str:
    """RFC 2253's quoted string without its quotation marks, as a string of RFC 4514."""
    escaped = re.sub(r"\\.|[+,;<>]", lambda found: found[0] if found[0][0] == "\\" else f"\\{found[0]}", value)
    if escaped.startswith((" ", "#")):
        escaped = f"\\{escaped}"
    return escaped if _without_last_spaces(escaped) == escaped else f"{escaped[:-1]}\\ "
