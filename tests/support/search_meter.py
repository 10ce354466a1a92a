"""Counts what several daemons do at one directory, in a proxy before it."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

from tests.support.proxy import Proxy
from tests.support.streams import ldap_length

_SEARCH_REQUEST, _SEARCH_DONE, _BIND_RESPONSE, _ABANDON_REQUEST = 0x63, 0x65, 0x61, 0x50
_BASE = 0
_INVALID_CREDENTIALS = bytes.fromhex("0a0131")
_CONTENT_SYNC = b"1.3.6.1.4.1.4203.1.9.1.1"
_REFRESH_AND_PERSIST = bytes.fromhex("0a0103")


class SearchMeter:
    """Searches for people that are in progress at a directory, and those that listen for changes.

    Searches for one entry are not counted: those that listen also read the schema, which is no run.

    `pace` (seconds) delays the end of each search and each refusal, so that those which may overlap do so.
    """

    def __init__(self, proxy: Proxy, pace: float = 0.0) -> None:
        self.pace = pace
        self.searches = 0
        self.most = 0
        """The most clients that searched at once."""
        self.refused = 0
        """Refused passwords."""
        self.most_listening = 0
        """The most searches at once that listened for the same changes."""
        self.listened_at: list[float] = []
        """When each search that listens began, by time.time()."""
        self._searching: dict[socket.socket, set[bytes]] = {}
        self._listening: dict[socket.socket, dict[bytes, bytes]] = {}
        self._pieces: dict[tuple[socket.socket, bool], bytearray] = {}
        self._guard = threading.Lock()
        proxy.watch, proxy.gone = self._watch, self._gone

    @property
    def at_once(self) -> int:
        """The number of clients that search now."""
        return sum(map(bool, self._searching.values()))

    def _watch(self, client: socket.socket, octets: bytes, to_server: bool) -> None:  # noqa: FBT001 -- a callback
        piece = self._pieces.setdefault((client, to_server), bytearray())
        piece += octets
        for message in _whole_messages(piece):
            message_id, operation, contents = _parts(message)
            if operation == _SEARCH_REQUEST:
                self._begin(client, message_id, contents, message)
            elif operation == _SEARCH_DONE:
                time.sleep(self.pace)
                self._end(client, message_id)
            elif operation == _ABANDON_REQUEST:
                self._end(client, contents)
            elif operation == _BIND_RESPONSE and contents.startswith(_INVALID_CREDENTIALS):
                self.refused += 1
                time.sleep(self.pace)

    def _begin(self, client: socket.socket, message_id: bytes, contents: bytes, message: bytes) -> None:
        with self._guard:
            if _REFRESH_AND_PERSIST in message.partition(_CONTENT_SYNC)[2]:
                self._listening.setdefault(client, {})[message_id] = contents
                self.listened_at.append(time.time())
                counted = Counter(each for made in self._listening.values() for each in made.values())
                self.most_listening = max(self.most_listening, *counted.values())
                return
            if _scope(contents) == _BASE:
                return
            self.searches += 1
            self._searching.setdefault(client, set()).add(message_id)
            self.most = max(self.most, self.at_once)

    def _end(self, client: socket.socket, message_id: bytes) -> None:
        with self._guard:
            self._searching.get(client, set()).discard(message_id)
            self._listening.get(client, {}).pop(message_id, None)

    def _gone(self, client: socket.socket) -> None:
        with self._guard:
            self._searching.pop(client, None)
            self._listening.pop(client, None)
            for to_server in (True, False):
                self._pieces.pop((client, to_server), None)


def _whole_messages(piece: bytearray) -> Iterator[bytes]:
    """Take the messages that have arrived in whole."""
    while len(piece) >= 2:
        length = ldap_length(bytes(piece[: _head_length(piece)]))
        if length is None or len(piece) < length:
            return
        yield bytes(piece[:length])
        del piece[:length]


def _parts(message: bytes) -> tuple[bytes, int, bytes]:
    """The contents of the message id, and tag and contents of the operation."""
    start = _head_length(message)
    end = start + 2 + message[start + 1]
    operation = message[end:]
    head = _head_length(operation)
    length = (ldap_length(operation[:head]) or len(operation)) - head
    return message[start + 2 : end], operation[0], operation[head : head + length]


def _scope(contents: bytes) -> int:
    """The scope of a SearchRequest (RFC 4511, section 4.5.1), which follows the base."""
    base = ldap_length(contents[: _head_length(contents)]) or 0
    return contents[base + 2]


def _head_length(octets: bytes | bytearray) -> int:
    return 2 + (octets[1] & 0x7F if octets[1] >= 0x80 else 0)
