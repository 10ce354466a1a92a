"""A name server on loopback that answers from a small zone over UDP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from contactsync.ldap.query.address import ServerAddress

Zone = Mapping[str, Sequence[str]]
"""The data of each record set, by its name and type: `{"dc1.example A": ["127.0.0.1"]}`."""


class NameServer:
    """Answers from `zone`; with SERVFAIL for names in `failing`, with NXDOMAIN for unknown ones, or never if `silent`.

    `questions` are the names and types of the requests.
    """

    def __init__(self, zone: Zone, *, failing: Collection[str] = (), silent: bool = False) -> None:
        self.zone, self.failing, self.silent = zone, failing, silent
        self.questions: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def address(self) -> ServerAddress:
        """Its address."""
        return ServerAddress("127.0.0.1", self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            octets, client = self._socket.recvfrom(4096)
            if not octets:
                return
            query = dns.message.from_wire(octets)
            if answer := self._answer(query):
                self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.questions.append(f"{name} {kind}")
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif records := self.zone.get(f"{name} {kind}"):
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif not any(known.startswith(f"{name} ") for known in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return None if self.silent else response
