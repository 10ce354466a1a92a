"""Encodes LDAP messages (RFC 4511), with lengths in every form that BER allows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from contactsync.ldap.protocol.requests import PAGED_RESULTS

MESSAGE_ID = 5
BIND_RESPONSE, ENTRY, DONE, REFERENCE, EXTENDED_RESPONSE, INTERMEDIATE = 0x61, 0x64, 0x65, 0x73, 0x78, 0x79
SHORTEST = 0
"""The shortest form of a length."""

Attributes = Sequence[tuple[bytes, Sequence[bytes]]]
Controls = Sequence[tuple[bytes, bytes | None]]


class Encoder:
    """Encodes messages. Each length takes the next of `forms` in turn: SHORTEST, or a minimum of octets."""

    def __init__(self, forms: Sequence[int] = (SHORTEST,)) -> None:
        self._forms = cycle(forms)

    def tlv(self, tag: int, *contents: bytes) -> bytes:
        """One element with these contents."""
        value, form = b"".join(contents), next(self._forms)
        if form == SHORTEST and len(value) < 0x80:
            return bytes((tag, len(value))) + value
        octets = max(form, (len(value).bit_length() + 7) // 8)
        return bytes((tag, 0x80 | octets)) + len(value).to_bytes(octets, "big") + value

    def string(self, *values: bytes) -> bytes:
        """The values as OCTET STRINGs."""
        return b"".join(self.tlv(0x04, value) for value in values)

    def message(self, *parts: bytes, message_id: int = MESSAGE_ID) -> bytes:
        """An LDAPMessage with its protocolOp and controls."""
        ident = message_id.to_bytes(message_id.bit_length() // 8 + 1, "big", signed=True)
        return self.tlv(0x30, self.tlv(0x02, ident), *parts)

    def entry_op(self, dn: bytes, attributes: Attributes) -> bytes:
        """A SearchResultEntry."""
        listed = self.tlv(0x30, *(self.attribute(name, values) for name, values in attributes))
        return self.tlv(ENTRY, self.string(dn), listed)

    def entry(self, dn: bytes, attributes: Attributes, controls: Controls = ()) -> bytes:
        """A message with a SearchResultEntry."""
        return self.message(self.entry_op(dn, attributes), self.controls(controls))

    def attribute(self, name: bytes, values: Sequence[bytes]) -> bytes:
        """A PartialAttribute."""
        return self.tlv(0x30, self.string(name), self.tlv(0x31, self.string(*values)))

    def reference(self, *uris: bytes) -> bytes:
        """A message with a SearchResultReference."""
        return self.message(self.tlv(REFERENCE, self.string(*uris)))

    def intermediate(self, name: bytes, value: bytes) -> bytes:
        """A message with an IntermediateResponse."""
        return self.message(self.tlv(INTERMEDIATE, self.tlv(0x80, name), self.tlv(0x81, value)))

    def notification(self, name: bytes) -> bytes:
        """An unsolicited notification of that name."""
        op = self.tlv(EXTENDED_RESPONSE, self.ldap_result(), self.tlv(0x8A, name))
        return self.message(op, message_id=0)

    def ldap_result(
        self, code: int = 0, matched_dn: bytes = b"", said: bytes = b"", uris: Sequence[bytes] = ()
    ) -> bytes:
        """The components of an LDAPResult."""
        number = self.tlv(0x0A, code.to_bytes(code.bit_length() // 8 + 1, "big"))
        referral = self.tlv(0xA3, self.string(*uris)) if uris else b""
        return number + self.string(matched_dn, said) + referral

    def done(self, result: bytes | None = None, controls: Controls = (), *, tag: int = DONE) -> bytes:
        """The message that ends an operation, by default a search."""
        components = self.ldap_result() if result is None else result
        return self.message(self.tlv(tag, components), self.controls(controls))

    def controls(self, controls: Controls) -> bytes:
        """The controls of a message; empty without any."""
        return self.tlv(0xA0, *(self.control(kind, value) for kind, value in controls)) if controls else b""

    def control(self, kind: bytes, value: bytes | None) -> bytes:
        """One control without its criticality."""
        return self.tlv(0x30, self.string(kind), b"" if value is None else self.string(value))

    def page(self, cookie: bytes) -> tuple[bytes, bytes]:
        """The paging control of a page (RFC 2696)."""
        return PAGED_RESULTS.encode(), self.tlv(0x30, self.tlv(0x02, b"\0"), self.string(cookie))
