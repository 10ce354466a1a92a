"""Where a directory server is: a host, a port, and whether TLS comes first."""

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
"""Ports where TLS comes before LDAP whatever the scheme says: LDAPS and Active Directory's global catalogue."""

_MAX_NAME = 253
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_IDNA_DEVIATIONS = frozenset("ßς\u200c\u200d")
"""IDNA 2003, which Python knows, and IDNA 2008 turn these into different hosts; guessing could reach a stranger's."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server. `host` is a name in lower case or an IP address without brackets; `port` None is the usual one."""

    host: str
    port: int | None = None
    ldaps: bool = False

    @property
    def port_or_default(self) -> int:
        """The port to connect to: as given, else 636 for LDAPS and 389 for LDAP."""
        return self.port or (LDAPS_PORT if self.ldaps else LDAP_PORT)

    @property
    def bracketed_host(self) -> str:
        """The host as it stands in a URL: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def netloc(self) -> str:
        """Host and port for people: `dc1.example.com:389`, `[::1]:636`."""
        return f"{self.bracketed_host}:{self.port_or_default}"


def parse_address(text: str, *, ldaps: bool = False, default_port: int | None = None) -> ServerAddress:
    """Read `host`, `host:port`, an IPv4 address, `[::1]:port` or a bare `::1`; QueryError when it is none of them.

    A host name may be international; it is kept as its A-labels (RFC 5890). `ldaps` is also set by the port.
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
    if text.count(":") > 1:  # a bare IPv6 address; it cannot carry a port
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _parse_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:  # noqa: PLR2004  # the width of a port
        raise QueryError(f"{shown(text)} is not a port; ports are numbers from 1 to 65535.")
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
    """A host name in lower case, as A-labels and without a last dot; QueryError when it cannot be one (RFC 1123)."""
    name = (text if text.isascii() else _to_a_labels(text)).lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or labels[-1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):
        raise QueryError(f"{shown(text)} is not a host name; those have letters, digits, hyphens and dots.")
    return name


def _to_a_labels(text: str) -> str:
    if len(text) > _MAX_NAME:
        raise QueryError(f"{shown(text)} is too long for a host name.")
    if _IDNA_DEVIATIONS.intersection(text):
        raise QueryError(f'{shown(text)} can stand for two different hosts; write its ASCII form, which starts "xn--".')
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        raise QueryError(f"{shown(text)} is not a host name.") from None
