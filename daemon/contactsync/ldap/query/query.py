"""Parses the query of a definition: the servers, and what to search for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from contactsync.errors import QueryError
from contactsync.ldap.dn import canonical_dn, domain_of
from contactsync.ldap.query.address import ServerAddress
from contactsync.ldap.query.text import shown, tidy
from contactsync.ldap.query.url import Scope, UrlPath, format_url, parse_servers, parse_url, unique

__all__ = ["QUERY_FORMS", "DirectoryQuery", "Scope", "ServerAddress", "parse_query"]

QUERY_FORMS = (
    "A query is a server (dc1.example.com, 192.0.2.7:389, [2001:db8::7]:636; several with spaces between them), "
    "an LDAP URL (ldaps://dc1.example.com/OU=Users,DC=example,DC=com??sub?(mail=*)), "
    "an ADSI path (LDAP://server/OU=Users,DC=example,DC=com or LDAP://OU=Users,DC=example,DC=com) "
    "or a distinguished name (OU=Users,DC=example,DC=com)."
)

_BEFORE_A_URL = re.compile(r"(?<![\s,\\])[\s,]++(?=[A-Za-z][A-Za-z0-9+.-]*+://)")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_CREDENTIALS = re.compile(r"[^,=?]*@|[^,=/?]*:[^,/?]*@")
"""`user:password@server`, also with an unencoded slash or equals sign in the password."""
_SCHEMES = frozenset({"ldap", "ldaps", "gc"})


@dataclass(frozen=True, slots=True)
class DirectoryQuery:
    """The parts of a query, None or () if it does not give them.

    Without `servers` they come from DNS SRV records of `domain`, without `base` it comes from the root DSE. `str()`
    gives the canonical form, URLs of RFC 4516, which parses to an equal query.
    """

    servers: tuple[ServerAddress, ...]
    base: str | None = None
    scope: Scope | None = None
    filter: str | None = None
    attributes: tuple[str, ...] = ()

    @property
    def domain(self) -> str | None:
        """The DNS domain of the base's DC components, such as `example.com`; None without them."""
        return domain_of(self.base) if self.base else None

    def __str__(self) -> str:
        path = UrlPath(self.base, self.attributes, self.scope, self.filter)
        return " ".join(format_url(server, path) for server in self.servers or (None,))


def parse_query(text: str) -> DirectoryQuery:
    """Parse a query in any of the QUERY_FORMS; raises QueryError with the part that is not valid.

    Servers are tried in turn. Several URLs must agree in everything else. The ports 636 and 3269 mean LDAPS.
    """
    try:
        return _parse(tidy(text))
    except QueryError as error:
        raise QueryError(error.message, hint=QUERY_FORMS) from None


def _parse(text: str) -> DirectoryQuery:
    if not text:
        raise QueryError("The query is empty.")
    pieces = [_parse_piece(piece) for piece in _BEFORE_A_URL.split(text)]
    servers = unique(server for servers, _ in pieces for server in servers)
    path = pieces[0][1]
    if any(other != path for _, other in pieces):
        raise QueryError("The URLs differ in more than the server.")
    query = DirectoryQuery(servers, path.base, path.scope, path.filter, path.attributes)
    if not servers and query.domain is None:
        raise QueryError(f"{shown(text)} names no server, and has no DC= components to find one by.")
    return query


def _parse_piece(text: str) -> tuple[tuple[ServerAddress, ...], UrlPath]:
    """Parse one URL, one distinguished name, or the servers before a URL."""
    url = _URL.fullmatch(text)
    if _CREDENTIALS.match(url["rest"] if url else text):  # not repeated in the message: it may hold a password
        raise QueryError("A user or a password does not belong in the query; they have fields of their own.")
    if url:
        scheme = url["scheme"].lower()
        if scheme not in _SCHEMES:
            raise QueryError(f"{shown(url['scheme'])} is not ldap, ldaps or gc.")
        return parse_url(scheme, url["rest"])
    if re.match(r"[^=]*[/?]", text):  # a URL without its scheme: server/OU=Users,…
        return parse_url("ldap", text)
    if "=" in text:  # a DN, in which percent signs and question marks have no special meaning
        return (), UrlPath(base=canonical_dn(text))
    return parse_servers(text), UrlPath()
