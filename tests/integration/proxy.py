"""A TCP proxy on loopback between a client and a real server, for what networks do to people."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from select import select

_TICK = 0.02


class Proxy:
    """Passes connections on to `target`, a port of loopback that may be changed at any time.

    `pace` (seconds, 0 unless set) is a pause after every 64 octets that the server sends. `silenced` connections
    stay open and pass nothing on. `tamper` changes what clients send. `accepted` counts all connections, `most` those
    that were open at once.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.pace = 0.0
        self.tamper: Callable[[bytes], bytes] = bytes
        self.accepted = self.most = 0
        self._clients: list[socket.socket] = []
        self._silenced: list[socket.socket] = []
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TICK)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End every thread and connection."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._clients)

    def silence(self) -> None:
        """Pass on nothing more of the connections that are open now, as a firewall that has forgotten them."""
        self._silenced = list(self._clients)

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                self._clients.append(client)
                self.accepted, self.most = self.accepted + 1, max(self.most, self.open)
                thread = threading.Thread(target=self._serve, args=[client])
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            back = threading.Thread(target=self._pass, args=[server, client], kwargs={"slowly": True})
            back.start()
            self._pass(client, server, slowly=False)
            back.join()
        self._clients.remove(client)

    def _pass(self, source: socket.socket, sink: socket.socket, *, slowly: bool) -> None:
        """Pass octets one way until either side ends, and end both then."""
        with suppress(OSError):
            while not self._over.is_set():
                pace = self.pace if slowly else 0
                if select([source], [], [], _TICK)[0]:
                    octets = source.recv(64 if pace else 65536)
                    if not octets:
                        break
                    if source in self._silenced or sink in self._silenced:
                        continue
                    sink.sendall(octets if slowly else self.tamper(octets))
                    time.sleep(pace)
        for side in (source, sink):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
