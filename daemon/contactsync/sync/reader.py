"""The first half of a run: connect, search, map and stage, until a complete snapshot of the directory is staged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.ldap.changes.base import CursorVoid
from contactsync.ldap.connection.session import Connect, Session, connect
from contactsync.ldap.search import MoreThanOnePage, SearchRequest, read_ahead, read_entries
from contactsync.model import Absence, Counts, Mode, Trigger
from contactsync.store.fingerprints import Fingerprints
from contactsync.store.plan.columns import Columns, columns_of
from contactsync.store.plan.first_load import FirstLoad
from contactsync.store.plan.staging import Staging
from contactsync.store.record.cursors import KeptCursor
from contactsync.store.stored_contacts import StoredContacts, read_known
from contactsync.sync.attributes import worth_asking
from contactsync.sync.definition import Resolved, Source, choose_source, connect_options, servers_of, source_digest
from contactsync.sync.early_load import EarlyLoad, EarlyLoadAborted
from contactsync.sync.incremental import AT_ONCE, Increments, SearchScope
from contactsync.sync.recogniser import Batch, Recogniser

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.ldap.connection.deadline import Deadline
    from contactsync.ldap.protocol.messages import EntryBatch
    from contactsync.model import RunReport
    from contactsync.sync.options import RunOptions

_log = structlog.get_logger()

Enter = Callable[[str], None]
"""Called with each stage when it begins."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one complete search brought: the entries that are not as they were are staged, the rest is only counted.

    With `remapped` all entries are staged, since the mapping is another one than the contacts went by. `missing` says
    how the contacts are found whose entry did not come unchanged. `cursor` is up to where the folder is in step once
    this is applied, and None when the next run has to read all.
    """

    source: Source
    digest: bytes
    columns: Columns
    staging: Staging
    known: StoredContacts
    remapped: bool
    missing: Absence = Absence.UNMATCHED
    cursor: KeptCursor | None = None
    cursor_moved: bool = False
    told: bool = False
    """Whether the keys of all that changed since the last run are staged too, to compare the plan with them."""
    all_listed: bool = False
    unreported_fields: tuple[str, ...] = ()
    """Those that may differ in a full run though nothing was told of them."""
    first_load: FirstLoad | None = None
    """What has inserted all that was staged, and waits for its commit."""

    @property
    def same(self) -> bool:
        """Whether every contact was recognised and nothing else came."""
        return not (
            self.known.fingerprints or self.staging.rows or self.staging.names or self.missing is Absence.NOT_LISTED
        )


@contextmanager
def open_directory(
    resolved: Resolved, options: RunOptions, password: str | None, deadline: Deadline, connect: Connect = connect
) -> Iterator[Session]:
    """A session with the first of the definition's servers that answers. Raises DirectoryError, RunCancelled.

    `connect` may keep it for the next run when the block ends without an error.
    """
    where = connect_options(
        resolved,
        password,
        servers_of(resolved, options.name_servers),
        connect_timeout=options.connect_timeout,
        receive_timeout=options.receive_timeout,
        name_servers=options.name_servers,
    )
    with connect(where, deadline) as session:
        yield session


class Reader:
    """Reads a definition's directory for one run, whose report it fills; any number of attempts.

    With `ahead` the first of them may go ahead (see contactsync.sync.early_load).
    """

    def __init__(
        self,
        connection: Connection[Any],
        report: RunReport,
        options: RunOptions,
        deadline: Deadline,
        enter: Enter,
        connect: Connect = connect,
        *,
        ahead: bool = False,
    ) -> None:
        self._ahead = ahead
        self._connection = connection
        self._report = report
        self._options = options
        self._deadline = deadline
        self._enter = enter
        self._connect = connect

    def read(self, resolved: Resolved, password: str | None) -> Snapshot:
        """One attempt, and another if it went ahead in vain. Raises DirectoryError, DatabaseError, RunCancelled."""
        try:
            return self._attempt(resolved, password)
        except EarlyLoadAborted as error:
            _log.info("run.restarted", reason=error.message)
            return self._attempt(resolved, password)

    def _attempt(self, resolved: Resolved, password: str | None) -> Snapshot:
        self._report.attempts += 1
        self._report.full_reason = None
        self._enter("connect")
        with open_directory(resolved, self._options, password, self._deadline, self._connect) as session:
            self._report.server = session.server
            self._report.skipped_servers = session.skipped_servers
            self._report.certificate_expires_at = session.certificate_expires_at
            self._report.certificate_unchecked = session.certificate_unchecked
            self._report.client_certificate_expires_at = session.client_certificate_expires_at
            source = choose_source(resolved, session.root_dse, self._options.map_limits)
            if source.lacking:
                _log.info("catalogue.lacking", server=session.server, attributes=list(source.lacking))
            page_size = resolved.definition.page_size or self._options.page_size
            request = SearchRequest(source.base, source.scope, source.filter, source.attributes, page_size)
            asked = SearchScope(resolved.definition, session, request, source, source_digest(resolved, source))
            fits = self._may_fit(page_size)
            if fits and not self._report.at_once and resolved.definition.mode not in AT_ONCE:
                try:
                    return self._search_in_one(asked)
                except MoreThanOnePage:
                    fits = False
            return self._search_or_ask(asked, fits=fits)

    def _may_fit(self, page_size: int) -> bool:
        """Whether the entries may come in one page; half a page leaves room for those that came since."""
        before = self._report.entries_before
        return before is None or before <= page_size // 2

    def _search_or_ask(self, asked: SearchScope, *, fits: bool) -> Snapshot:
        """What changed since the last run if that can be told, or everything, in one page where it `fits`."""
        options = self._options
        asked.session.wire.limits = options.read_limits(self._deadline)
        increments = Increments(self._connection, asked, full_seconds=options.full_seconds)
        if increments.full_reason is None:
            try:
                return self._ask(asked, increments)
            except CursorVoid as error:
                increments.full_reason = error.message
        self._report.full_reason = increments.full_reason
        # What is told of must be compared with a plan of everything.
        self._ahead = self._ahead and not increments.trusted
        # A preview leaves no trace, so that it has nothing to note.
        is_kept = self._report.trigger is not Trigger.PREVIEW
        cursor = increments.cursor_before_search(self._report.run_id) if is_kept else None
        snapshot = self._search_at_best(asked) if fits else self._search_in_pages(asked)
        snapshot = replace(snapshot, cursor=cursor, cursor_moved=cursor is not None)
        if increments.trusted and not snapshot.same:
            return self._with_what_is_told(snapshot, asked, increments)
        return snapshot

    def _with_what_is_told(self, snapshot: Snapshot, asked: SearchScope, increments: Increments) -> Snapshot:
        """The same, with the keys of all that changed since the last increment staged beside it."""
        mapping = asked.source.mapping
        try:
            for changed in increments.since():
                mapped = mapping.map_batch([(b"", entry) for entry in changed.entries])
                snapshot.staging.tell([*mapped.keys, *changed.gone])
                snapshot.staging.name(changed.present)
        except CursorVoid:
            return snapshot
        return replace(
            snapshot, told=True, all_listed=increments.all_listed, unreported_fields=increments.unreported_fields
        )

    def _ask(self, asked: SearchScope, increments: Increments) -> Snapshot:
        """Map and stage what changed, and note the keys that the directory names."""
        source = asked.source
        self._begin(increments.mode)
        columns = columns_of(source.mapping.fields, source.mapping.policies)
        staging = Staging(self._connection, columns)
        recogniser = Recogniser(Fingerprints(), source.mapping.identity_digest)
        unknown = Batch()
        with ThreadPoolExecutor(1, thread_name_prefix="beside") as executor, staging.beside(executor):
            for changed in increments.since():
                unknown.add(recogniser.sift(changed.entries))
                self._count(recogniser, 0)
                if keys := changed.gone or changed.present:
                    staging.name(keys)
                if unknown.full:
                    self._stage(unknown.take(), source, staging)
            if unknown:
                self._stage(unknown.take(), source, staging)
        missing = Absence.NOT_LISTED if increments.all_listed else Absence.REPORTED
        cursor = increments.cursor_after_changes()
        moved = cursor is None or increments.moved(cursor)
        return Snapshot(source, asked.digest, columns, staging, StoredContacts(), False, missing, cursor, moved)  # noqa: FBT003

    def _begin(self, mode: Mode) -> None:
        self._report.mode = mode
        self._report.counts = Counts()
        self._enter("search")

    def _search_at_best(self, asked: SearchScope) -> Snapshot:
        """Read everything in one page, or in several where that does not do."""
        try:
            return self._search_in_one(asked)
        except MoreThanOnePage:
            return self._search_in_pages(asked)

    def _search_in_one(self, asked: SearchScope) -> Snapshot:
        """Raises MoreThanOnePage: nothing was concluded from what came, and the staging tables are made anew."""
        return self._search(replace(asked, request=replace(asked.request, one_page=True)))

    def _search_in_pages(self, asked: SearchScope) -> Snapshot:
        """Without what would only make the server slower: for many entries that is worth a few questions."""
        request = asked.request
        attributes = worth_asking(asked.session, request.base, request.attributes, asked.source.mapping.identity)
        return self._search(replace(asked, request=replace(request, attributes=attributes)))

    def _search(self, asked: SearchScope) -> Snapshot:
        """Read every page; map and stage what is not recognised, while the next pages are on their way."""
        definition, source = asked.definition, asked.source
        self._begin(Mode.FULL)
        columns = columns_of(source.mapping.fields, source.mapping.policies)
        staging = Staging(self._connection, columns)
        pages = read_entries(asked.session, asked.request, self._options.read_limits(self._deadline))
        # One thread for PostgreSQL, so that the directory need not wait for it.
        beside = ThreadPoolExecutor(1, thread_name_prefix="beside")
        load = FirstLoad(self._connection, definition, columns, run_id=self._report.run_id)
        with EarlyLoad(load) as ahead, beside as executor, staging.beside(executor):
            reading = executor.submit(read_known, self._connection, definition)
            pages = read_ahead(pages, reading.done)
            self._enter("fingerprints")
            known = reading.result()
            self._enter("search")
            remapped = bool(known.fingerprints) and known.mapping_digest != source.mapping.digest
            recogniser = Recogniser(known.fingerprints, source.mapping.identity_digest, everything=remapped)
            tighten = None
            if self._ahead and self._report.attempts == 1 and not known.fingerprints and not known.departed:
                staging.first_load = load
                tighten = partial(ahead.tighten_limits, asked.session.wire)
            self._sift(pages, recogniser, source, staging, tighten)
        snapshot = Snapshot(source, asked.digest, columns, staging, known, remapped)
        return replace(snapshot, first_load=load) if load.begun else snapshot

    def _sift(
        self,
        pages: Iterator[EntryBatch],
        recogniser: Recogniser,
        source: Source,
        staging: Staging,
        then: Callable[[], None] | None,
    ) -> None:
        """Stage what is not recognised, and call `then` once the first lot of it is on its way."""
        unknown = Batch()
        for batch in pages:
            unknown.add(recogniser.sift(batch.entries))
            self._count(recogniser, batch.references)
            if unknown.full:
                self._stage(unknown.take(), source, staging)
                if then:
                    then()
                    then = None
        if unknown:
            self._stage(unknown.take(), source, staging)

    def _stage(self, unknown: list[tuple[bytes, bytes]], source: Source, staging: Staging) -> None:
        self._enter("map")
        mapped = source.mapping.map_batch(unknown)
        self._report.counts.trimmed += mapped.trimmed
        self._enter("stage")
        staging.add(mapped)
        self._enter("search")

    def _count(self, recogniser: Recogniser, references: int) -> None:
        counts = self._report.counts
        counts.entries, counts.unchanged = recogniser.entries_seen, recogniser.unchanged
        counts.references += references
        self._enter("search")
