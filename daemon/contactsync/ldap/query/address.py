"""The address of a directory server: host, port, and whether TLS comes first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from contactsync.errors import QueryError
from contactsync.ldap.query.text import shown

LDAP_PORT = 389
LDAPS_PORT = 636
GLOBAL_CATALOGUE_PORT = 3268
DNS_PORT = 53
TLS_PORTS = frozenset({LDAPS_PORT, 3269})
"""Ports that always mean LDAPS: LDAPS itself, and Active Directory's global catalogue over TLS."""

_MAX_NAME = 253
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_IDNA_DEVIATIONS = frozenset("ßς\u200c\u200d")
"""Characters that IDNA 2003, which Python has, and IDNA 2008 turn into different host names."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server. `host` is a name in lower case or an IP address without brackets; `port` None is the default."""

    host: str
    port: int | None = None
    ldaps: bool = False

    @property
    def port_or_default(self) -> int:
        """The port to connect to: as given, else 636 for LDAPS and 389 for LDAP."""
        return self.port or (LDAPS_PORT if self.ldaps else LDAP_PORT)

    @property
    def bracketed_host(self) -> str:
        """The host for a URL: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        """The server as a URL without a path; the port only if it was given."""
        port = "" if self.port is None else f":{self.port}"
        return f"{'ldaps' if self.ldaps else 'ldap'}://{self.bracketed_host}{port}"

    @property
    def netloc(self) -> str:
        """Host and port: `dc1.example.com:389`, `[::1]:636`."""
        return f"{self.bracketed_host}:{self.port_or_default}"


def parse_address(text: str, *, ldaps: bool = False, default_port: int | None = None) -> ServerAddress:
    """Parse `host`, `host:port`, an IPv4 address, `[::1]:port` or `::1`; raises QueryError.

    An internationalized name is converted to A-labels (RFC 5890). The ports 636 and 3269 set `ldaps`.
    """
    host, port_text = _split_port(text)
    port = _parse_port(port_text) if port_text else default_port
    return ServerAddress(host=_parse_host(host), port=port, ldaps=ldaps or port in TLS_PORTS)


def _split_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            raise QueryError(f"{shown(text)} is not an IPv6 address in brackets.")
        return host, rest[1:]
    if text.count(":") > 1:  # an IPv6 address without brackets has no port
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _parse_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:  # noqa: PLR2004  # the width of a port
        raise QueryError(f"{shown(text)} is not a port: ports are numbers from 1 to 65535.")
    return int(text)


def _parse_host(text: str) -> str:
    if ":" in text:
        return _parse_ipv6(text)
    if re.fullmatch(r"[0-9.]+", text):
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise QueryError(f"{shown(text)} is not an IPv4 address.") from None
    return parse_host_name(text)


def _parse_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise QueryError(f"{shown(text)} is not an IPv6 address.") from None
    if address.scope_id is not None:
        raise QueryError(f"{shown(text)} names a network interface; give an address that needs none.")
    return address.compressed


def parse_host_name(text: str) -> str:
    """The host name in lower case, as A-labels and without a final dot; raises QueryError (RFC 1123)."""
    name = (text if text.isascii() else _to_a_labels(text)).lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or labels[-1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):
        raise QueryError(f"{shown(text)} is not a host name: host names have letters, digits, hyphens and dots.")
    return name


def _to_a_labels(text: str) -> str:
    if len(text) > _MAX_NAME:
        raise QueryError(f"{shown(text)} is too long for a host name.")
    if _IDNA_DEVIATIONS.intersection(text):
        raise QueryError(f'{shown(text)} can mean two different hosts; write its ASCII form, which starts "xn--".')
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        raise QueryError(f"{shown(text)} is not a host name.") from None
