"""Parses and formats LDAP URLs (RFC 4516) and ADSI paths. One grammar serves both.

- Percent sequences are decoded. A percent sign without two hexadecimal digits, as in ADSI paths, is literal.
- Servers come before the first slash, separated by spaces or commas. If an equals sign is there, the path has no server
  (`LDAP://OU=Users,DC=example`), or the servers end at a comma (`LDAP://,OU=Users,DC=example`).
- A question mark always ends the name; in a name it is written %3F.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from contactsync.errors import QueryError
from contactsync.ldap.dn import canonical_dn, domain_of
from contactsync.ldap.query.address import GLOBAL_CATALOGUE_PORT, ServerAddress, parse_address
from contactsync.ldap.query.filter import ATTRIBUTE, check_filter
from contactsync.ldap.query.text import refuse_control_characters, shown

_SAFE = "!$&'()*+,;=@"
"""Reserved characters of RFC 3986 that are not encoded; an unencoded `://` would look like a second URL."""
_SLASH_BETWEEN_PARTS = re.compile(r"(?<!\\)/ *[A-Za-z][A-Za-z0-9_-]* *=")
_EXTENSION = re.compile(r"(?P<critical>!?)[A-Za-z0-9][A-Za-z0-9.-]*(?:=.*)?", re.DOTALL)


class Scope(StrEnum):
    """The scope of a search, in the words of RFC 4516."""

    BASE = "base"
    ONE = "one"
    SUB = "sub"


@dataclass(frozen=True, slots=True)
class DirectoryQuery:
    """The parts of a query, None or () if it does not give them.

    Without `servers` they come from DNS SRV records of `domain`, without `base` it comes from the root DSE. `str()`
    gives the canonical form, URLs of RFC 4516, which parses to an equal query.
    """

    servers: tuple[ServerAddress, ...] = ()
    base: str | None = None
    scope: Scope | None = None
    filter: str | None = None
    attributes: tuple[str, ...] = ()

    @property
    def domain(self) -> str | None:
        """The DNS domain of the base's DC components, such as `example.com`; None without them."""
        return domain_of(self.base) if self.base else None

    def __str__(self) -> str:
        parts = [_encode(self.base or ""), ",".join(self.attributes), self.scope or "", _encode(self.filter or "")]
        path = "?".join(parts).rstrip("?")
        path = f"/{path}" if path else ""
        return " ".join(f"{server.url}{path}" for server in self.servers) or f"ldap://{path}"


def parse_url(scheme: str, rest: str) -> DirectoryQuery:
    """Parse the part behind `ldap://`, `ldaps://` or `gc://`; raises QueryError with the part that is not valid."""
    head, path = _split_servers(rest)
    servers = parse_servers(_decode(head), scheme)
    if scheme == "gc" and not servers:
        raise QueryError("A GC:// path needs a server.")
    parts = path.split("?")
    if len(parts) > 5:  # noqa: PLR2004  # dn?attributes?scope?filter?extensions
        raise QueryError("There are more than four question marks; one in a name or a value is written %3F.")
    base, attributes, scope, search_filter, extensions = parts + [""] * (5 - len(parts))
    _check_extensions(extensions)
    return DirectoryQuery(
        servers,
        base=_parse_base(base),
        scope=_parse_scope(_decode(scope)),
        filter=check_filter(_decode(search_filter)) if search_filter.strip() else None,
        attributes=_parse_attributes(_decode(attributes)),
    )


def parse_servers(text: str, scheme: str = "ldap") -> tuple[ServerAddress, ...]:
    """Parse addresses separated by spaces or commas. The default port of `gc` is the global catalogue's."""
    port = GLOBAL_CATALOGUE_PORT if scheme == "gc" else None
    words = re.split(r"[\s,]+", text)
    addresses = (parse_address(word, ldaps=scheme == "ldaps", default_port=port) for word in words if word)
    return tuple(dict.fromkeys(addresses))


def _split_servers(rest: str) -> tuple[str, str]:
    head = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "=" not in head:
        return head, rest[len(head) :].removeprefix("/")
    name_starts = head.rfind(",", 0, head.index("=")) + 1
    return rest[:name_starts], rest[name_starts:]


def _parse_base(text: str) -> str | None:
    if _SLASH_BETWEEN_PARTS.search(text):
        raise QueryError(
            rf"{shown(text)} has slashes between its parts; write commas (a slash in a name is \/ or %2F)."
        )
    base = _decode(text).strip(" ")
    return canonical_dn(base) if base else None


def _parse_attributes(text: str) -> tuple[str, ...]:
    attributes = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    for attribute in attributes:
        if attribute not in {"*", "+"} and not re.fullmatch(ATTRIBUTE, attribute):
            raise QueryError(f"{shown(attribute)} is not the name of an attribute.")
    return attributes


def _parse_scope(text: str) -> Scope | None:
    word = text.strip().lower()
    if word not in {"", *Scope}:
        raise QueryError(f"{shown(text)} is not a scope; scopes are base, one and sub.")
    return Scope(word) if word else None


def _check_extensions(text: str) -> None:
    """Refuse critical extensions: none is known here. RFC 4516, section 2, has the others ignored."""
    for extension in map(str.strip, map(_decode, text.split(","))) if text.strip() else ():
        match = _EXTENSION.fullmatch(extension)
        if match is None:
            raise QueryError(f"{shown(extension)} is not an extension of an LDAP URL.")
        if match["critical"]:
            raise QueryError(f'The extension {shown(extension)} is critical ("!") and not known here.')


def _decode(text: str) -> str:
    """Percent-decode the well-formed sequences, as UTF-8."""
    octets = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode("ascii")), text.encode("utf-8"))
    try:
        return refuse_control_characters(octets.decode("utf-8"))
    except UnicodeDecodeError:
        raise QueryError(f"The percent sequences in {shown(text)} are not UTF-8.") from None


def _encode(text: str) -> str:
    return quote(text, safe=_SAFE)
