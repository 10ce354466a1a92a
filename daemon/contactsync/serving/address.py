"""A socket that listens at an address and a port of the settings."""

from __future__ import annotations

import socket

from contactsync.errors import SettingsError

_BACKLOG = 64
_SERVERS = {"api": "The API", "metrics": "The server of the metrics", "web": "The console"}
_LARGEST_PORT = 65_535


def bind(listen: str, section: str) -> socket.socket:
    """A socket that listens at this address and port, which a section of the settings has. Raises SettingsError."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if int(port) > _LARGEST_PORT:  # getaddrinfo() would take the lower 16 bits
        raise _impossible(listen, section, "the largest port is 65535")
    try:
        addresses = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        dual = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        raise _impossible(listen, section, error.strerror or str(error)) from None
    # Connections inherit it. asyncio sets it only on sockets that it has made itself.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)  # noqa: FBT003  (it takes no keyword)
    return listening


def _impossible(listen: str, section: str, reason: str) -> SettingsError:
    return SettingsError(
        f"{_SERVERS[section]} cannot listen at {listen}: {reason}.",
        hint=f"Change [{section}] listen in settings.toml, or end the program that uses the port.",
    )
