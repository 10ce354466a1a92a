"""Searches a directory page by page (RFC 4511, section 4.5; RFC 2696), completely or with an error."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import structlog

from contactsync.errors import DirectoryError, IncompleteSnapshot
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol.messages import SEARCH_DONE, EntryBatch
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie, search_op
from contactsync.ldap.protocol.results import LIMITS, SUCCESS, FailedSearch, Result, nothing_found, search_error
from contactsync.ldap.query.query import Scope
from contactsync.ldap.ranges import read_whole
from contactsync.model import Auth

_log = structlog.get_logger(__name__)  # structlog finds the name anew for each record

_MOST_EMPTY_PAGES = 100
"""Empty pages in a row before the search is given up.

A cookie that stays the same is no sign of a loop: 389 Directory Server sends the number of the search each time.
"""

_LDAPSEARCH = {Auth.SIMPLE: ["-x"], Auth.KERBEROS: ["-Y", "GSSAPI"], Auth.EXTERNAL: ["-Y", "EXTERNAL"]}

_AHEAD_OCTETS = 4 << 20
"""The most that is read while the fingerprints are being loaded."""


class MoreThanOnePage(IncompleteSnapshot):
    """A search for one page met a limit, and must be repeated with paging."""


@dataclass(frozen=True)
class SearchRequest:
    """The parameters of a search. `page_size` is in entries; 0 requests everything at once.

    With `one_page` the search is not paged and stops after `page_size` entries: for a paged search OpenLDAP reads its
    whole database, however few entries are below the base. `deleted` includes Active Directory's deleted objects and
    needs pages. `refused_hint` says what to do if the server refuses the filter.
    """

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    page_size: int
    one_page: bool = False
    deleted: bool = False
    refused_hint: str = ""


def read_entries(session: Session, request: SearchRequest, limits: ReadLimits | None = None) -> Iterator[EntryBatch]:
    """Send the search; the entries in batches of up to a page, each valid until the next one is requested.

    Ends normally only after a complete search: every page had result code 0 and the paging control, and the last cookie
    was empty. Otherwise raises IncompleteSnapshot or another DirectoryError; MoreThanOnePage, for a request of one
    page, means that paging is needed. References are counted, not followed. Attributes that Active Directory sends in
    ranges are completed. Without `limits` those of the search before apply.
    """
    if limits:
        session.wire.limits = limits
    batches = _Search(session, request).batches()
    # No other server sends ranges, and looking for them takes a twentieth of a run's time.
    return read_whole(session, batches) if session.root_dse.is_active_directory else batches


def read_ahead(
    batches: Iterator[EntryBatch], ready: Callable[[], bool], *, octets: int = _AHEAD_OCTETS
) -> Iterator[EntryBatch]:
    """The same batches; those that come before `ready` returns true are read in advance, up to `octets`."""
    kept: list[EntryBatch] = []
    for batch in batches:
        copies: list[memoryview | bytes] = [bytes(entry) for entry in batch.entries]
        kept.append(replace(batch, entries=copies))
        octets -= sum(map(len, copies))
        if ready() or octets <= 0:
            break
    return chain(kept, batches)


def failed_search(session: Session, request: SearchRequest, result: Result, entries: int) -> DirectoryError:
    """The error for a search that did not succeed, after `entries` entries."""
    search = FailedSearch(
        server=session.server,
        base=request.base,
        filter=request.filter,
        entries=entries,
        anonymous=session.anonymous,
        page_size=request.page_size,
        refused_hint=request.refused_hint,
    )
    return search_error(result, search)


class _Search:
    """A search in progress; its request is sent at once, so that the server works while the caller prepares."""

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
        if _log.is_enabled_for(logging.DEBUG):
            _log.debug("search.started", command=ldapsearch_command(self._session, self._request, paged=self._paged))
        self._first = self._ask(b"")

    def batches(self) -> Iterator[EntryBatch]:
        message_id: int | None = self._first
        while message_id is not None:
            batch = self._session.wire.read(message_id, SEARCH_DONE, expected=self._expected)
            self._entries += len(batch.entries)
            if self._entries > self._session.wire.limits.max_entries:
                raise self._too_many()
            if batch.result:
                # Request the next page before the caller handles this one, so that the server works meanwhile.
                cookie = self._next_page(batch.result)
                message_id = self._ask(cookie) if cookie else None
            yield batch

    @property
    def _expected(self) -> int:
        """The most entries that the page still has."""
        return self._request.page_size - (self._entries - self._entries_before_page) if self._pages else sys.maxsize

    def _ask(self, cookie: bytes) -> int:
        controls = b""
        if self._paged:
            controls = paging_control(self._request.page_size, cookie, deleted=self._request.deleted)
        return self._session.wire.send(self._op, controls)

    def _next_page(self, result: Result) -> bytes:
        """The cookie for the next page, empty after the last; raises unless this page is complete."""
        if result.code in LIMITS and self._pages and not self._paged:
            raise MoreThanOnePage(f"{self._session.server} has more than a page of entries.")
        if result.code != SUCCESS:
            raise failed_search(self._session, self._request, result, self._entries)
        if result.diagnostic:
            _log.warning("search.message", server=self._session.server, text=result.diagnostic)
        if result.diagnostic and not self._entries and not (self._paged and PAGED_RESULTS not in result.controls):
            raise nothing_found(self._session.server, result.diagnostic)
        if not self._paged:
            return b""
        if PAGED_RESULTS not in result.controls:
            raise self._incomplete("ended a page without the paging control")
        cookie = paging_cookie(result.controls[PAGED_RESULTS])
        self._empty_pages = self._empty_pages + 1 if self._entries == self._entries_before_page else 0
        self._entries_before_page = self._entries
        if cookie and self._empty_pages >= _MOST_EMPTY_PAGES:
            raise self._incomplete(f"sent {_MOST_EMPTY_PAGES} empty pages in a row and announced another")
        return cookie

    def _too_many(self) -> IncompleteSnapshot:
        return IncompleteSnapshot(
            f"{self._session.server} sent more than {self._session.wire.limits.max_entries:,} entries.",
            hint="Nothing was changed. Narrow the base or the filter, or raise directory.max_entries.",
        )

    def _incomplete(self, what: str) -> IncompleteSnapshot:
        return IncompleteSnapshot(
            f"{self._session.server} {what}, after {self._entries} entries.",
            hint="Nothing was changed. Try another --page-size, or --page-size 0 to request everything at once.",
        )


def ldapsearch_command(session: Session, request: SearchRequest, *, paged: bool) -> str:
    """The same search as a shell command, which prompts for the password."""
    words = ["ldapsearch", *_LDAPSEARCH[session.auth], "-LLL", "-H", session.server]
    words += ["-ZZ"] if session.starttls else []
    words += ["-D", session.user, "-W"] if session.user and session.auth is Auth.SIMPLE else []
    words += ["-b", request.base, "-s", request.scope.value, "-a", "never"]
    if paged:
        words += ["-E", f"pr={request.page_size}/noprompt"]
    elif request.one_page:
        words += ["-z", str(request.page_size)]
    return shlex.join([*words, request.filter, *request.attributes])
