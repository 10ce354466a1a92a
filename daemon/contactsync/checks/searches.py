"""Searches that stop when they have read enough, and leave the session usable. A run uses `ldap.search` instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.messages import SEARCH_DONE
from contactsync.ldap.protocol.requests import (
    ANY_ENTRY,
    NO_ATTRIBUTES,
    PAGED_RESULTS,
    paging_control,
    paging_cookie,
    search_op,
)
from contactsync.ldap.protocol.results import LIMITS, SUCCESS, FailedSearch, Result, search_error
from contactsync.ldap.query.query import Scope


@dataclass(frozen=True, slots=True)
class Search:
    """The parameters of a search."""

    base: str
    scope: Scope
    filter: str = ANY_ENTRY
    attributes: tuple[str, ...] = NO_ATTRIBUTES
    refused_hint: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request: the `number` of entries, the entries themselves if decoded, and the result."""

    number: int
    entries: tuple[Entry, ...]
    references: int
    result: Result

    @property
    def more(self) -> bool:
        """Whether there are more entries."""
        return self.limited or self.cookie != b""

    @property
    def limited(self) -> bool:
        """Whether a limit, ours or the server's, ended the search."""
        return self.result.code in LIMITS

    @property
    def is_page(self) -> bool:
        """Whether the answer has the paging control."""
        return PAGED_RESULTS in self.result.controls

    @property
    def cookie(self) -> bytes:
        """Where the next page starts; empty if there is none."""
        return paging_cookie(self.result.controls[PAGED_RESULTS]) if self.is_page else b""


def ask(
    session: Session, search: Search, limits: ReadLimits, *, most: int = 0, controls: bytes = b"", decode: bool = True
) -> Answer:
    """The first `most` entries (0: all) of a search. Raises DirectoryError for any result but success and a limit."""
    wire = session.wire
    wire.limits = limits
    op = search_op(search.base, search.scope, search.filter, search.attributes, size_limit=most)
    message_id = wire.send(op, controls)
    number = references = 0
    entries: list[Entry] = []
    result = None
    while result is None:
        batch = wire.read(message_id, SEARCH_DONE)
        number += len(batch.entries)
        references += batch.references
        entries += map(decode_entry, batch.entries if decode else ())
        result = batch.result
    answer = Answer(number, tuple(entries), references, result)
    if result.code == SUCCESS or answer.limited:
        return answer
    failed = FailedSearch(
        server=session.server,
        base=search.base,
        filter=search.filter,
        entries=number,
        anonymous=session.anonymous,
        refused_hint=search.refused_hint,
    )
    raise search_error(result, failed)


def ask_for_some(session: Session, search: Search, limits: ReadLimits, *, most: int, decode: bool = True) -> Answer:
    """The first `most` entries, as a page if the server has paging: Samba ignores the size limit."""
    return next(ask_by_pages(session, search, limits, page_size=most, most=most, decode=decode))


def ask_by_pages(
    session: Session, search: Search, limits: ReadLimits, *, page_size: int, most: int, decode: bool = True
) -> Iterator[Answer]:
    """The pages of a search until the last one or until a limit; one answer with `most` entries without paging."""
    if not (page_size and session.root_dse.supports_paging):
        yield ask(session, search, limits, most=most, decode=decode)
        return
    cookie: bytes | None = None
    while cookie != b"":
        controls = paging_control(page_size, cookie or b"")
        answer = ask(session, search, limits, controls=controls, decode=decode)
        yield answer
        cookie = b"" if answer.limited else answer.cookie
