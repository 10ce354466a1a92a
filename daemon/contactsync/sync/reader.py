"""The first half of a run: connect, search, map and stage, until a complete snapshot of the directory is staged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import CursorVoid
from contactsync.ldap.aliases import find_aliases, refuse_aliases
from contactsync.ldap.provisioning import is_provisioned
from contactsync.ldap.search import MoreThanOnePage, SearchRequest, read_ahead, read_entries
from contactsync.model import Absence, Certificates, Counts, Mode, Trigger
from contactsync.store.fingerprints import StoredContacts, read_stored_contacts
from contactsync.store.plan.columns import Columns, columns_of
from contactsync.store.plan.staging import SameThread, Staging
from contactsync.store.record.cursors import KeptCursor
from contactsync.sync.attributes import existing_attributes
from contactsync.sync.definition import Resolved, Source, connect_options, servers_of, source_digest, source_of
from contactsync.sync.early_load import EarlyLoad
from contactsync.sync.incremental import INCREMENTAL_MODES, Increments, SearchScope
from contactsync.sync.recogniser import Batch, Recogniser

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.protocol.messages import EntryBatch
    from contactsync.sync.context import RunContext

_TRIMMED_NOTED = 1000
"""Values that a run names at most as dropped or changed; the others are counted."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CursorUpdate:
    """The cursor to store when a snapshot is applied; None if the next run has to read all entries."""

    cursor: KeptCursor | None


@dataclass(frozen=True, slots=True)
class Reported:
    """The changes that the directory has reported since the last run are staged, to compare the plan with them.

    With `all_listed` every entry that exists is among them. `unreported_fields` may change without a report.
    """

    all_listed: bool
    unreported_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The result of one complete search: the entries that are new or changed are staged, the others are counted.

    With `remapped` all entries are staged, because the mapping has changed. `absence` says how to find the contacts
    whose entries did not come unchanged.
    """

    source: Source
    digest: bytes
    columns: Columns
    staging: Staging
    stored: StoredContacts
    remapped: bool = False
    absence: Absence = Absence.UNMATCHED
    cursor_update: CursorUpdate | None = None
    reported: Reported | None = None

    @property
    def early_load(self) -> EarlyLoad | None:
        """The early load that has inserted all staged entries and has to be committed."""
        return self.staging if isinstance(self.staging, EarlyLoad) and self.staging.started else None

    @property
    def unchanged(self) -> bool:
        """Whether every contact was matched and no other entry came."""
        return not (self.stored or self.staging.rows or self.staging.names or self.absence is Absence.NOT_LISTED)


def _another_thread() -> Executor:
    return ThreadPoolExecutor(1, thread_name_prefix="beside")


class Reader:
    """Reads a definition's directory for one run, in any number of attempts."""

    def __init__(self, context: RunContext, *, early_load: bool = False) -> None:
        self._context = context
        self._report = context.report
        self._early_load = early_load
        self._excluded = 0

    def read(self, resolved: Resolved) -> Snapshot:
        """Make one attempt. Raises DirectoryError, DatabaseError, EarlyLoadAborted, RunCancelled."""
        context, options = self._context, self._context.options
        # Read for each attempt: another run's refusal may have made the password unusable.
        password = context.password(resolved)
        self._report.attempts += 1
        self._report.full_reason = self._report.confirm_seconds = None
        context.enter("connect")
        servers = servers_of(resolved, options.name_servers)
        logon = partial(context.logon, resolved, password)
        connecting = context.sessions.connect(
            connect_options(resolved, password, servers, options, logon), context.deadline
        )
        with connecting as session:
            self._note_server(session)
            scope = self._scope(session, resolved)
            if not self._fits_one_page(scope):
                return self._read_changes(scope, one_page=False)
            if context.live or resolved.definition.mode in INCREMENTAL_MODES:
                return self._read_changes(scope, one_page=True)
            try:
                return self._search_one_page(scope)
            except MoreThanOnePage:
                return self._read_changes(scope, one_page=False)

    def _note_server(self, session: Session) -> None:
        self._report.server = session.server
        self._report.skipped_servers = session.skipped_servers
        self._report.certificates = Certificates(
            session.certificate_expires_at, session.client_certificate_expires_at, session.certificate_unchecked
        )

    def _scope(self, session: Session, resolved: Resolved) -> SearchScope:
        options = self._context.options
        source = source_of(session, resolved, options.map_limits)
        if source.lacking:
            _log.info("catalogue.lacking", server=session.server, attributes=list(source.lacking))
        page_size = options.page_size_of(resolved.definition)
        request = SearchRequest(
            source.base,
            source.scope,
            source.filter,
            source.attributes,
            page_size,
            refused_hint=source.refused_hint,
        )
        return SearchScope(resolved.definition, session, request, source, source_digest(resolved, source))

    def _fits_one_page(self, scope: SearchScope) -> bool:
        """Whether one page is likely to hold all entries; half of it is left for entries that came since."""
        before = self._context.entries_before
        return before is None or before <= scope.request.page_size // 2

    def _read_changes(self, scope: SearchScope, *, one_page: bool) -> Snapshot:
        """Read what changed since the last run if the directory can report that, else all entries."""
        context = self._context
        scope.session.wire.limits = context.limits
        increments = Increments(context.connection, scope, full_seconds=context.options.full_seconds)
        if increments.full_reason is None:
            try:
                return self._search_changes(scope, increments)
            except CursorVoid as error:
                increments.full_reason = error.message
        self._report.full_reason = increments.full_reason
        # The reported changes have to be compared with a plan of everything.
        self._early_load = self._early_load and not increments.trusted
        # A preview leaves no trace.
        is_kept = self._report.trigger is not Trigger.PREVIEW
        cursor = increments.cursor_before_search(self._report.run_id) if is_kept else None
        snapshot = self._search_all(scope, one_page=one_page)
        if cursor is not None:
            snapshot = replace(snapshot, cursor_update=CursorUpdate(cursor))
        if increments.trusted and not snapshot.unchanged:
            return self._with_reported(snapshot, scope, increments)
        return snapshot

    def _with_reported(self, snapshot: Snapshot, scope: SearchScope, increments: Increments) -> Snapshot:
        """The snapshot, with the keys of all reported changes staged."""
        mapping = scope.source.mapping
        try:
            for changed in increments.since():
                mapped = mapping.map_batch([(b"", entry) for entry in changed.entries])
                snapshot.staging.add_reported([*mapped.keys, *changed.gone])
                snapshot.staging.add_named(changed.present)
        except CursorVoid:
            return snapshot
        return replace(snapshot, reported=Reported(increments.all_listed, increments.unreported_fields))

    def _search_changes(self, scope: SearchScope, increments: Increments) -> Snapshot:
        """Map and stage the changed entries, and stage the keys that the directory lists."""
        source = scope.source
        self._begin(increments.mode)
        columns = columns_of(source.mapping.fields, source.mapping.policies)
        staging = Staging(self._context.connection, columns)

        def entries() -> Iterator[Sequence[bytes]]:
            for changed in increments.since():
                if keys := changed.gone or changed.present:
                    staging.add_named(keys)
                yield changed.entries

        recogniser = Recogniser(StoredContacts(), source.mapping.identity_digest)
        with _another_thread() as executor, staging.beside(executor):
            self._stage_changed(entries(), recogniser, source, staging)
        self._report.confirm_seconds = increments.confirm_seconds
        cursor = increments.cursor_after_changes()
        return Snapshot(
            source=source,
            digest=scope.digest,
            columns=columns,
            staging=staging,
            stored=StoredContacts(),
            absence=Absence.NOT_LISTED if increments.all_listed else Absence.REPORTED,
            cursor_update=CursorUpdate(cursor) if cursor is None or increments.moved(cursor) else None,
        )

    def _begin(self, mode: Mode) -> None:
        self._report.mode = mode
        self._report.counts = Counts()
        self._report.trimmed_values = []
        self._excluded = 0
        self._context.enter("search")

    def _search_all(self, scope: SearchScope, *, one_page: bool) -> Snapshot:
        if one_page:
            try:
                return self._search_one_page(scope)
            except MoreThanOnePage:
                pass
        request = scope.request
        attributes = existing_attributes(scope.session, request, scope.source.mapping.identity)
        return self._search(replace(scope, request=replace(request, attributes=attributes)))

    def _search_one_page(self, scope: SearchScope) -> Snapshot:
        """Raises MoreThanOnePage; the staging tables are then made again by the next search."""
        return self._search(replace(scope, request=replace(scope.request, one_page=True)))

    def _search(self, scope: SearchScope) -> Snapshot:
        """Read every page; map and stage the entries that are not recognised while the next pages arrive."""
        context, source = self._context, scope.source
        self._begin(Mode.FULL)
        columns = columns_of(source.mapping.fields, source.mapping.policies)
        pages = read_entries(scope.session, scope.request, context.limits)
        # One thread talks to PostgreSQL, so that this one can talk to the directory. One page is not worth a thread.
        few = scope.request.one_page
        with SameThread() if few else _another_thread() as executor:
            reading = executor.submit(read_stored_contacts, context.connection, context.definition, few=few)
            pages = read_ahead(pages, reading.done)
            context.enter("fingerprints")
            stored = reading.result()
            is_filled = bool(stored)
            context.enter("search")
            if self._early_load and EarlyLoad.is_possible(context, stored):
                staging: Staging = EarlyLoad(context, columns, scope.session.wire)
            else:
                staging = Staging(context.connection, columns)
            remapped = is_filled and stored.mapping_digest != source.mapping.digest
            recogniser = Recogniser(stored, source.mapping.identity_digest, everything=remapped)
            with staging.beside(executor):
                entries = self._entries(pages, source.excluded_base if remapped else None)
                self._stage_changed(entries, recogniser, source, staging)
        if not self._report.counts.entries:
            refuse_aliases(scope.session, source.base, source.scope)
        elif not is_filled:
            self._note_aliases(scope)
        return Snapshot(
            source=source, digest=scope.digest, columns=columns, staging=staging, stored=stored, remapped=remapped
        )

    def _note_aliases(self, scope: SearchScope) -> None:
        """Log aliases among the entries of a first load; later ones do not look again."""
        if aliases := find_aliases(scope.session, scope.source.base, scope.source.scope):
            _log.warning("aliases.ignored", base=scope.source.base, aliases=aliases.number, target=aliases.target)

    def _entries(self, pages: Iterator[EntryBatch], excluded: str | None) -> Iterator[Sequence[memoryview | bytes]]:
        """The entries outside the `excluded` subtree; the contacts of the others are then unmatched."""
        for page in pages:
            self._report.counts.references += page.references
            if excluded:
                yield [entry for entry in page.entries if not self._excludes(bytes(entry), excluded)]
            else:
                yield page.entries

    def _stage_changed(
        self,
        pages: Iterable[Sequence[memoryview | bytes]],
        recogniser: Recogniser,
        source: Source,
        staging: Staging,
    ) -> None:
        """Map and stage the entries that are not recognised."""
        batch, counts = Batch(), self._report.counts
        for entries in pages:
            changed = recogniser.changed(entries)
            if subtree := source.excluded_base:
                changed = [entry for entry in changed if not self._excludes(entry[1], subtree)]
            batch.add(changed)
            counts.entries, counts.unchanged = recogniser.entries_seen, recogniser.unchanged
            self._context.enter("search")
            if batch.full:
                self._stage(batch.take(), source, staging)
        if batch:
            self._stage(batch.take(), source, staging, last=True)
        if self._excluded:
            _log.info("provisioning.excluded", base=source.excluded_base, entries=self._excluded)

    def _excludes(self, octets: bytes, subtree: str) -> bool:
        is_excluded = is_provisioned(octets, subtree)
        self._excluded += is_excluded
        return is_excluded

    def _stage(
        self, entries: list[tuple[bytes, bytes]], source: Source, staging: Staging, *, last: bool = False
    ) -> None:
        self._context.enter("map")
        mapped = source.mapping.map_batch(entries)
        self._report.counts.trimmed += mapped.trimmed
        noted = self._report.trimmed_values
        noted.extend(mapped.trimmed_values[: max(0, _TRIMMED_NOTED - len(noted))])
        self._context.enter("stage")
        staging.add(mapped, last=last)
        self._context.enter("search")
