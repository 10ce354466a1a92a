"""Searches a directory page by page (RFC 4511, section 4.5; RFC 2696) and gives all of it or an error."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import structlog

from contactsync.errors import IncompleteSnapshot
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol.messages import SEARCH_DONE, EntryBatch
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie, search_op
from contactsync.ldap.protocol.results import LIMITS, SUCCESS, Result, search_error
from contactsync.ldap.query.query import Scope
from contactsync.ldap.ranges import read_whole
from contactsync.model import Auth

_log = structlog.get_logger()

_MOST_EMPTY_PAGES = 100
"""Pages without an entry, one after the other, after which a server is taken to go round in circles.

A cookie that stays the same proves nothing: 389 Directory Server numbers its searches and sends the number each time.
"""

_LDAPSEARCH = {Auth.SIMPLE: ["-x"], Auth.KERBEROS: ["-Y", "GSSAPI"], Auth.EXTERNAL: ["-Y", "EXTERNAL"]}

_AHEAD_OCTETS = 4 << 20
"""What may be kept while fingerprints are read: some of the first pages; the server works on the next one meanwhile."""


class MoreThanOnePage(IncompleteSnapshot):
    """A search that asked for one page in one piece met a limit: it has to be made again, page by page."""


@dataclass(frozen=True)
class SearchRequest:
    """What to search for. `page_size` is in entries; 0 asks for everything at once.

    With `one_page` the search is not paged and stops after `page_size` entries. For a paged one OpenLDAP goes through
    the whole directory, however few entries are below the base. `deleted` asks Active Directory for deleted objects
    too, which takes pages.
    """

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    page_size: int
    one_page: bool = False
    deleted: bool = False


def read_entries(session: Session, request: SearchRequest, limits: ReadLimits) -> Iterator[EntryBatch]:
    """The entries in batches of up to a page, each valid until the next is asked for.

    Ends normally only when the snapshot is complete: every page with result code 0, with the paging control where it
    was asked for, and an empty cookie in the last. Raises IncompleteSnapshot otherwise, or the DirectoryError that
    says more: FilterRefused, BaseNotFound, ServerUnavailable, ServerTimeout and so on. References are counted, never
    followed. Values that Active Directory sends in ranges are there to the last one. A server that does not list the
    paging control is asked for everything at once. MoreThanOnePage, for a request of one page, says that the same is to
    be asked for in pages.
    """
    session.wire.limits = limits
    return read_on(session, request)


def read_on(session: Session, request: SearchRequest) -> Iterator[EntryBatch]:
    """The same within the limits of the search before."""
    batches = _Search(session, request).batches()
    # No other server sends a part of the values as if it were all; and the look takes a twentieth of a run's time.
    return read_whole(session, batches) if session.root_dse.is_active_directory else batches


def read_ahead(
    batches: Iterator[EntryBatch], ready: Callable[[], bool], *, octets: int = _AHEAD_OCTETS
) -> Iterator[EntryBatch]:
    """The same batches; those that come before something else is `ready` are read and kept already, up to `octets`."""
    kept: list[EntryBatch] = []
    for batch in batches:
        copies: list[memoryview | bytes] = [bytes(entry) for entry in batch.entries]
        kept.append(replace(batch, entries=copies))
        octets -= sum(map(len, copies))
        if ready() or octets <= 0:
            break
    return chain(kept, batches)


class _Search:
    """One search on its way: what has come so far, and where the next page starts."""

    def __init__(self, session: Session, request: SearchRequest) -> None:
        self._session = session
        self._request = request
        self._pages = request.page_size > 0 and session.root_dse.supports_paging
        self._paged = self._pages and not request.one_page
        limit = request.page_size if self._pages and request.one_page else 0
        self._op = search_op(request.base, request.scope, request.filter, request.attributes, size_limit=limit)
        self._entries = 0
        self._entries_before_page = 0
        self._empty_pages = 0

    def batches(self) -> Iterator[EntryBatch]:
        _log.debug("search.started", command=ldapsearch_command(self._session, self._request, paged=self._paged))
        message_id: int | None = self._ask(b"")
        while message_id is not None:
            batch = self._session.wire.read(message_id, SEARCH_DONE, expected=self._expected)
            self._entries += len(batch.entries)
            if batch.result:
                # The next page is asked for before the caller works on this one, so that the server works meanwhile.
                cookie = self._next_page(batch.result)
                message_id = self._ask(cookie) if cookie else None
            yield batch

    @property
    def _expected(self) -> int:
        """How many entries may come until the page ends."""
        return self._request.page_size - (self._entries - self._entries_before_page) if self._pages else sys.maxsize

    def _ask(self, cookie: bytes) -> int:
        controls = b""
        if self._paged:
            controls = paging_control(self._request.page_size, cookie, deleted=self._request.deleted)
        return self._session.wire.send(self._op, controls)

    def _next_page(self, result: Result) -> bytes:
        """The cookie of the next page, empty after the last; raises unless this page is whole."""
        if result.code in LIMITS and self._pages and not self._paged:
            raise MoreThanOnePage(f"{self._session.server} has more than a page of entries.")
        if result.code != SUCCESS:
            raise search_error(
                result,
                server=self._session.server,
                base=self._request.base,
                search_filter=self._request.filter,
                entries=self._entries,
                anonymous=self._session.anonymous,
            )
        if not self._paged:
            return b""
        if PAGED_RESULTS not in result.controls:
            raise self._incomplete("ended a page without saying whether more would come")
        cookie = paging_cookie(result.controls[PAGED_RESULTS])
        self._empty_pages = self._empty_pages + 1 if self._entries == self._entries_before_page else 0
        self._entries_before_page = self._entries
        if cookie and self._empty_pages >= _MOST_EMPTY_PAGES:
            raise self._incomplete(f"sent {_MOST_EMPTY_PAGES} empty pages one after the other and promises more")
        return cookie

    def _incomplete(self, what: str) -> IncompleteSnapshot:
        return IncompleteSnapshot(
            f"{self._session.server} {what}, after {self._entries} entries.",
            hint="Nothing was changed. Try another page size, or 0 to ask for everything at once.",
        )


def ldapsearch_command(session: Session, request: SearchRequest, *, paged: bool) -> str:
    """The same search for a shell; it asks for the password."""
    words = ["ldapsearch", *_LDAPSEARCH[session.auth], "-LLL", "-H", session.server]
    words += ["-ZZ"] if session.starttls else []
    words += ["-D", session.user, "-W"] if session.user and session.auth is Auth.SIMPLE else []
    words += ["-b", request.base, "-s", request.scope.value, "-a", "never"]
    if paged:
        words += ["-E", f"pr={request.page_size}/noprompt"]
    elif request.one_page:
        words += ["-z", str(request.page_size)]
    return shlex.join([*words, request.filter, *request.attributes])
