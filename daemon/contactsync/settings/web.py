"""The settings of the web console: its process, and its socket of the daemon."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from contactsync.settings.file import SYSTEM_STATE, WEB_SOCKET_NAME
from contactsync.settings.types import FILE, AbsolutePath, Section, Whole

WEB_USER = "contactsync-web"
_LISTEN = r"^/.+$|^([\w.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SERVER = rf"ldaps?://({_LABEL}(\.{_LABEL})*\.?|\[[0-9a-fA-F:.]+\])(:[0-9]{{1,5}})?"
_DOMAIN = rf"[dD][cC]={_LABEL}(,[dD][cC]={_LABEL})*"
_DIRECTORIES = rf"^\s*(({_SERVER}|{_DOMAIN})(\s+|$))*$"
_URL = r"^$|^https?://[\w.-]+(:[0-9]{1,5})?/?$|^https?://\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?/?$"
_LONGEST_NAME = 253
"""Of a host (RFC 1035)."""
_NAMES = r"^[\w.:\[\] -]*$"


def _directories(value: str) -> str:
    for word in value.split():
        server = urlsplit(word)
        host = server.hostname or word
        if ":" in host or re.split("[.=]", host.removesuffix("."))[-1].isdigit():
            ip_address(host)
        if server.port == 0 or len(host) > _LONGEST_NAME:
            raise ValueError
    return value


class Web(Section):
    """The console, and the socket by which its process uses the daemon."""

    enabled: bool = False
    socket: AbsolutePath = SYSTEM_STATE / WEB_SOCKET_NAME
    user: str = Field(WEB_USER, pattern=r"^[^:\s]+$", description="the name or the number of a user, in quotes")
    group: str = Field(WEB_USER, pattern=r"^[^:\s]*$", description="the name of a group, in quotes")
    directories: Annotated[str, AfterValidator(_directories)] = Field(
        "",
        pattern=_DIRECTORIES,
        description='servers with spaces between them, like "ldaps://dc1.example.com" or "dc=example,dc=com"',
    )
    least_minutes: Whole = Field(5, ge=1, le=10_080)
    editors_map: bool = False
    owners_approve: Whole = Field(100, ge=0, le=1_000_000_000)
    personal_folders: bool = False
    listen: str = Field(
        "127.0.0.1:8480",
        pattern=_LISTEN,
        description='an address and a port, like "127.0.0.1:8480", or the absolute path of a Unix socket',
    )
    url: str = Field("", pattern=_URL, description='an address without a path, like "https://contacts.example.com"')
    hosts: str = Field(
        "", pattern=_NAMES, description='names of hosts with spaces between them, like "contacts contacts.example.com"'
    )
    plain: bool = False
    tls_certificate: str = Field("", pattern=FILE, description="an absolute path in quotes")
    tls_key: str = Field("", pattern=FILE, description="an absolute path in quotes")

    @property
    def origin(self) -> str:
        """The address that people type: scheme, host and port."""
        if self.url or self.listen.startswith("/"):
            return self.url.rstrip("/") or "http://localhost"
        return f"{'https' if self.tls_certificate else 'http'}://{self.listen}"
