"""A proxy on loopback between a client and a real server, for the faults of networks.

A fault strikes at an octet, counted from the moment when it was armed, so the same run meets it at the same place.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from select import select

from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.streams import LengthOf, Stream

_TICK = 0.02
_DELAY_SECONDS = 0.1
_TRICKLE_OCTETS, _TRICKLE_PIECE, _TRICKLE_PAUSE = 1500, 50, 0.004
_RESETTING = struct.pack("ii", 1, 0)
"""SO_LINGER for 0 seconds: closing the socket sends a reset."""

Address = int | Path
"""A port of loopback, or the path of a Unix socket."""


class Harm(StrEnum):
    """What happens to a connection at the octet."""

    DELAY = "delay"
    STALL = "stall"
    CUT = "cut"
    RESET = "reset"
    REFUSE = "refuse"
    CORRUPT = "corrupt"
    TRICKLE = "trickle"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Fault:
    """One harm, once, to the connection that passes octet number `after` (from 0) to the server or to the client.

    With `at`, it strikes just behind the start of these octets, on the connection that passes them. A stalled
    connection stays open and passes nothing. REFUSE resets all connections and accepts none until the proxy is healed.
    CORRUPT changes one octet: that one, or if the proxy knows messages, the first of the connection's next message.
    KILL calls what the proxy was armed with.
    """

    harm: Harm
    to_server: bool
    after: int = 0
    at: bytes = b""

    def __str__(self) -> str:
        where = f"{self.at!r}" if self.at else f"octet {self.after}"
        return f"{self.harm} at {where} to the {'server' if self.to_server else 'client'}"


class Proxy:
    """Connects its clients to `target`, which may be changed at any time.

    `pace` (seconds) is a pause after every 64 octets from the server. `tamper` changes what clients send. `accepted`
    counts all connections, `most` those that were open at once. `listen` is the path of a Unix socket to listen on in
    place of a port. `lengths` find the messages to the server and to the client. `watch` gets what passes, with its
    client and whether it goes to the server; `gone` gets a client whose connection has ended.
    """

    def __init__(
        self, target: Address, *, listen: Path | None = None, lengths: tuple[LengthOf, LengthOf] | None = None
    ) -> None:
        self.target = target
        self.pace = 0.0
        self.tamper: Callable[[bytes], bytes] = bytes
        self.watch: Callable[[socket.socket, bytes, bool], None] = lambda *_: None
        self.gone: Callable[[socket.socket], None] = lambda _: None
        self.accepted = self.most = 0
        self.passed = {True: 0, False: 0}
        """Octets since the last fault was armed, to the server and to the client."""
        self.struck: Fault | None = None
        """The last armed fault, once it has struck."""
        self._path = listen
        self._lengths = lengths
        self._fault: Fault | None = None
        self._target: Stream | None = None
        """The only stream that the fault may strike, once its octet has passed there."""
        self._kill: Callable[[], object] = lambda: None
        self._guard = threading.Lock()
        self._clients: list[socket.socket] = []
        self._silenced: list[socket.socket] = []
        self._doomed: list[socket.socket] = []
        self._ended: list[socket.socket] = []
        self._slow: dict[socket.socket, int] = {}
        self._refusing, self._closed = threading.Event(), threading.Event()
        self._paused = threading.Event()
        self._over = threading.Event()
        self._reserved = None if listen else ReservedPort()
        self.port = self._reserved.number if self._reserved else 0
        self._listener = self._listen()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="proxy")
        self._accepting.start()

    def close(self) -> None:
        """End every thread and connection."""
        self._over.set()
        self._accepting.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def open(self) -> int:
        """The number of open connections."""
        return len(self._clients)

    def silence(self) -> None:
        """Pass nothing more on the open connections, like a firewall that has forgotten them."""
        self._silenced = list(self._clients)

    def pause(self) -> None:
        """Pass nothing more, on no connection, until `heal`, like a network that is cut: both sides stay open."""
        self._paused.set()

    def arm(self, fault: Fault | None, kill: Callable[[], object] = lambda: None) -> None:
        """Arm a fault and start counting octets; None only counts."""
        with self._guard:
            self._fault, self._target, self.struck, self._kill = fault, None, None, kill
            self.passed = {True: 0, False: 0}

    def measure(self, act: Callable[[], object]) -> dict[bool, int]:
        """The octets to the server (True) and to the client (False) that pass while something is done."""
        self.arm(None)
        act()
        return dict(self.passed)

    def heal(self) -> None:
        """Pass everything again, and accept connections before this returns; stalled and corrupted connections end."""
        self.arm(None)
        self._ended, self._doomed = self._doomed, []
        self._refusing.clear()
        self._paused.clear()
        while self._closed.is_set() and self._accepting.is_alive():
            time.sleep(_TICK / 10)

    def _listen(self) -> socket.socket:
        if self._path is None:
            listener = socket.create_server((LOOPBACK, self.port))
        else:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self._path))
            listener.listen(16)
        listener.settimeout(_TICK)
        return listener

    def _accept(self) -> None:
        while not self._over.is_set():
            if self._refusing.is_set():
                self._listener.close()
                self._closed.set()
                while self._refusing.is_set() and not self._over.is_set():
                    time.sleep(_TICK)
                self._listener = self._listen()
                self._closed.clear()
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                client.settimeout(None)
                _undelayed(client)
                self._clients.append(client)
                self.accepted, self.most = self.accepted + 1, max(self.most, self.open)
                thread = threading.Thread(target=self._serve, args=[client], name="proxy")
                self._threads = [old for old in self._threads if old.is_alive()] + [thread]
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        to_server, to_client = self._lengths or (None, None)
        with client, suppress(OSError), self._connect() as server:
            streams = [Stream(client, server, to_server), Stream(server, client, to_client)]
            while not (self._over.is_set() or self._refusing.is_set() or client in self._ended):
                if self._paused.is_set():
                    time.sleep(_TICK)
                    continue
                sources = [stream.source for stream in streams]
                ready = select(sources, [], [], _TICK)[0]
                if not all(self._pass(stream, client) for stream in streams if stream.source in ready):
                    break
            if self._refusing.is_set():
                _reset(client)
        self._clients.remove(client)
        self._slow.pop(client, None)
        self.gone(client)

    def _connect(self) -> socket.socket:
        if isinstance(self.target, int):
            return _undelayed(socket.create_connection((LOOPBACK, self.target)))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.target))
        except OSError:
            server.close()
            raise
        return server

    def _pass(self, stream: Stream, client: socket.socket) -> bool:
        """Pass what has come in one direction; False if the connection must end."""
        downwards = stream.sink is client
        slowly = bool(self.pace) and downwards
        octets = stream.source.recv(64 if slowly else _TRICKLE_PIECE if client in self._slow else 65536)
        if not octets:
            return False
        if client in self._silenced:
            return True
        if not downwards:
            octets = self.tamper(octets)
        self.watch(client, octets, not downwards)
        before, fault, after = self._struck_in(stream, octets, to_server=not downwards)
        stream.sink.sendall(before)
        if fault and not self._strike(fault, stream, client, after):
            return False
        if client in self._slow:
            self._slow[client] -= len(octets)
            if self._slow[client] <= 0:
                del self._slow[client]
            time.sleep(_TRICKLE_PAUSE)
        if slowly:
            time.sleep(self.pace)
        return True

    def _struck_in(self, stream: Stream, octets: bytes, *, to_server: bool) -> tuple[bytes, Fault | None, bytes]:
        """The octets before the fault, the fault if it strikes in these octets, and the rest."""
        starts = stream.message_starts(octets)
        with self._guard:
            first, fault = self.passed[to_server], self._fault
            self.passed[to_server] += len(octets)
            if fault is None or fault.to_server is not to_server or self._target not in {None, stream}:
                return octets, None, b""
            place = self._place(fault, stream, octets, first)
            if fault.harm is Harm.CORRUPT:
                place = next((start for start in starts if start >= place), len(octets))
            if place == len(octets):
                return octets, None, b""
            self._fault, self.struck = None, fault
        return octets[:place], fault, octets[place:]

    def _place(self, fault: Fault, stream: Stream, octets: bytes, first: int) -> int:
        """The first place in these octets where the fault may strike; their length if there is none."""
        if self._target is stream:
            return 0
        place = octets.find(fault.at) + 1 if fault.at else fault.after - first
        if (fault.at and not place) or place >= len(octets):
            return len(octets)
        self._target = stream
        return place

    def _strike(self, fault: Fault, stream: Stream, client: socket.socket, rest: bytes) -> bool:
        """Do the harm; False if the connection must end."""
        if fault.harm is Harm.DELAY:
            time.sleep(_DELAY_SECONDS)
            stream.sink.sendall(rest)
        elif fault.harm is Harm.STALL:
            self._silenced.append(client)
            self._doomed.append(client)
        elif fault.harm is Harm.KILL:
            self._kill()
            stream.sink.sendall(rest)
        elif fault.harm is Harm.CORRUPT:
            self._doomed.append(client)
            stream.sink.sendall(bytes((rest[0] ^ 0xFF,)) + rest[1:])
        elif fault.harm is Harm.TRICKLE:
            self._slow[client] = _TRICKLE_OCTETS
            for start in range(0, len(rest), _TRICKLE_PIECE):
                stream.sink.sendall(rest[start : start + _TRICKLE_PIECE])
                time.sleep(_TRICKLE_PAUSE if start < _TRICKLE_OCTETS else 0)
        else:
            if fault.harm is Harm.REFUSE:
                self._refusing.set()
                self._closed.wait(1)  # before the client notices and connects again
            if fault.harm is not Harm.CUT:
                _reset(stream.source)
                _reset(stream.sink)
            return False
        return True


def _undelayed(side: socket.socket) -> socket.socket:
    """Without Nagle's algorithm, as contactsync's own connections."""
    if side.family != socket.AF_UNIX:
        side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return side


def _reset(side: socket.socket) -> None:
    """Make a TCP socket send a reset when it is closed."""
    if side.family != socket.AF_UNIX:
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETTING)
