"""Parses the query of a definition: the servers, and what to search for."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from contactsync.errors import QueryError
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.address import ServerAddress
from contactsync.ldap.query.text import shown, tidy
from contactsync.ldap.query.url import DirectoryQuery, Scope, parse_servers, parse_url

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


@lru_cache(maxsize=256)
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
    servers = tuple(dict.fromkeys(server for piece in pieces for server in piece.servers))
    query, *others = {replace(piece, servers=servers) for piece in pieces}
    if others:
        raise QueryError("The URLs differ in more than the server.")
    if not servers and query.domain is None:
        raise QueryError(f"{shown(text)} names no server, and has no DC= components to find one by.")
    return query


def _parse_piece(text: str) -> DirectoryQuery:
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
        return DirectoryQuery(base=canonical_dn(text))
    return DirectoryQuery(parse_servers(text))
