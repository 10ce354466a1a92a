"""The service manager's side of $NOTIFY_SOCKET."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self


class NotifySocket:
    """Receives datagrams at a path, or with `abstract` at a name in the abstract namespace."""

    def __init__(self, directory: Path, *, abstract: bool = False) -> None:
        path = str(directory / "notify")
        self.name = f"@{path}" if abstract else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{path}" if abstract else path)
        self._socket.settimeout(0)
        self._received: list[list[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def messages(self) -> list[list[str]]:
        """The lines of each datagram so far."""
        while True:
            try:
                self._received.append(self._socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return self._received

    def lines(self) -> list[str]:
        """The assignments of all datagrams."""
        return [line for message in self.messages() for line in message]

    def count(self, line: str) -> int:
        """How often an assignment was received."""
        return self.lines().count(line)

    def status(self) -> str:
        """The newest STATUS, or an empty text."""
        return next((line[7:] for line in reversed(self.lines()) if line.startswith("STATUS=")), "")
