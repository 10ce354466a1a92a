"""Searches that stop when enough was seen, over a session that is good for more afterwards.

A run reads differently (`ldap.search`): ahead, and to the end or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.messages import SEARCH_DONE
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie, search_op
from contactsync.ldap.protocol.results import LIMITS, SUCCESS, Result, search_error

if TYPE_CHECKING:
    from contactsync.ldap.connection.limits import ReadLimits
    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.query.query import Scope

ANYTHING = "(objectClass=*)"
NO_ATTRIBUTES = ("1.1",)
"""RFC 4511, section 4.5.1.8."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for."""

    base: str
    scope: Scope
    filter: str = ANYTHING
    attributes: tuple[str, ...] = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request brought: `number` entries, decoded when asked for, and how it ended."""

    number: int
    entries: tuple[Entry, ...]
    references: int
    result: Result

    @property
    def more(self) -> bool:
        """Whether there is more than this."""
        return self.cut or self.cookie != b""

    @property
    def cut(self) -> bool:
        """Whether a limit, ours or the server's, ended it before everything had come."""
        return self.result.code in LIMITS

    @property
    def is_page(self) -> bool:
        """Whether the server answered the request for a page as such."""
        return PAGED_RESULTS in self.result.controls

    @property
    def cookie(self) -> bytes:
        """Where the next page starts; empty when there is none."""
        return paging_cookie(self.result.controls[PAGED_RESULTS]) if self.is_page else b""


def ask(
    session: Session,
    search: Search,
    limits: ReadLimits,
    *,
    most: int = 0,
    controls: bytes = b"",
    decode: bool = True,
) -> Answer:
    """The first `most` entries (0: all) of one search. Raises DirectoryError unless it ended well or by a limit."""
    wire = session.wire
    wire.limits = limits
    op = search_op(search.base, search.scope, search.filter, search.attributes, size_limit=most)
    message_id = wire.send(op, controls)
    number = references = 0
    entries: list[Entry] = []
    while True:
        batch = wire.read(message_id, SEARCH_DONE)
        number += len(batch.entries)
        references += batch.references
        entries += map(decode_entry, batch.entries if decode else ())
        if batch.result:
            answer = Answer(number, tuple(entries), references, batch.result)
            return _good(session, search, answer)


def ask_for_some(session: Session, search: Search, limits: ReadLimits, *, most: int, decode: bool = True) -> Answer:
    """The first `most` entries. By a page where there are pages, since Samba pays no heed to a size limit."""
    pages = ask_by_pages(session, search, limits, page_size=most, most=most, decode=decode)
    return next(pages)


def ask_by_pages(
    session: Session, search: Search, limits: ReadLimits, *, page_size: int, most: int, decode: bool = True
) -> Iterator[Answer]:
    """Page after page until the last or until a limit; one request for `most` entries without pages.

    That is where the server has none, and with a `page_size` of 0.
    """
    if not (page_size and session.root_dse.supports_paging):
        yield ask(session, search, limits, most=most, decode=decode)
        return
    cookie: bytes | None = None
    while cookie != b"":
        controls = paging_control(page_size, cookie or b"")
        answer = ask(session, search, limits, controls=controls, decode=decode)
        yield answer
        cookie = b"" if answer.cut else answer.cookie


def _good(session: Session, search: Search, answer: Answer) -> Answer:
    if answer.result.code == SUCCESS or answer.cut:
        return answer
    raise search_error(
        answer.result,
        server=session.server,
        base=search.base,
        search_filter=search.filter,
        entries=answer.number,
        anonymous=session.anonymous,
    )
