"""One run, from the definition to the record.

    definition -> connect -> search -> map -> stage -> plan -> guard -> apply -> record

Everything up to the plan may be done again when the directory fails in the middle; nothing of it touches `contacts`.
The plan, the guard and the apply are one transaction. A preview is the same way without the last step. A first load
takes a shorter one, as long as that goes well (contactsync.sync.early_load).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from contactsync.ldap.connection.session import Connect, connect
from contactsync.model import Counts, Mode, Outcome, Plan, RunReport
from contactsync.store.plan.apply import apply_plan
from contactsync.store.plan.plan import (
    Rollback,
    applying,
    count_contacts,
    knows_source,
    make_plan,
    read_unreported,
    record_rejected,
)
from contactsync.store.record.cursors import drop_cursor, move_cursor, set_cursor
from contactsync.store.record.holds import keep_plan, planned_changes, read_approval, settle_plans
from contactsync.store.record.runs import deleted_lately, note_applied
from contactsync.sync.definition import resolve
from contactsync.sync.early_load import EarlyLoad, EarlyLoadAborted
from contactsync.sync.guard import HOURS, GuardLimits, enough_contacts, reason_beyond_approval, reason_to_hold
from contactsync.sync.reader import Reader, Snapshot
from contactsync.sync.retry import retrying
from contactsync.sync.stopwatch import Stopwatch

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.ldap.connection.deadline import Deadline
    from contactsync.model import Definition
    from contactsync.store.plan.first_load import FirstLoad
    from contactsync.sync.options import RunOptions

_log = structlog.get_logger()

Answer = TypeVar("Answer")
Progress = Callable[[str, Counts], None]
"""Called from the run's own thread with the stage it enters or is in, and the counts so far."""
Conclude = Callable[[Plan, Snapshot], None]
"""What is done with a plan and its guard's verdict, in the transaction that made them."""


class Run:
    """One run of one definition over a connection that holds the definition's lock; `report` is filled as it goes."""

    def __init__(
        self,
        connection: Connection[Any],
        report: RunReport,
        password: Callable[[Definition], str | None],
        options: RunOptions,
        deadline: Deadline,
        progress: Progress,
        connect: Connect = connect,
    ) -> None:
        self._connection = connection
        self._report = report
        self._password = password
        self._options = options
        self._deadline = deadline
        self._progress = progress
        self._connect = connect
        self._watch = Stopwatch(report.seconds)

    def carry_out(self) -> None:
        """Go the whole way once. Raises ContactsyncError; the report then says how far it got."""
        try:
            snapshot = self._read(ahead=True)
            try:
                self._report.outcome = self._bring_in_step(snapshot)
            except EarlyLoadAborted as error:
                _log.info("run.restarted", reason=error.message)
                snapshot = self._read()
                self._report.outcome = self._bring_in_step(snapshot)
            if self._report.outcome is not Outcome.HELD:
                self._report.source_digest = snapshot.digest
                self._report.mapping_digest = snapshot.source.mapping.digest
        finally:
            self._watch.stop()

    def _bring_in_step(self, snapshot: Snapshot) -> Outcome:
        """What a complete snapshot leads to. Raises InVain, after which nothing is changed."""
        if snapshot.first_load:
            return self._conclude_first_load(snapshot, snapshot.first_load)
        if snapshot.same:
            self._settle()
            self._keep_cursor(snapshot)
            return Outcome.UNCHANGED
        return self._plan(snapshot, self._conclude)

    def preview(self, limit: int | None) -> None:
        """Go the way as far as the guard and leave no trace; the report gets the first `limit` changes (None: all).

        Raises ContactsyncError.
        """
        try:
            snapshot = self._read()
            show = partial(self._show, limit)
            self._report.outcome = Outcome.UNCHANGED if snapshot.same else self._plan(snapshot, show)
        finally:
            self._watch.stop()

    def _read(self, *, ahead: bool = False) -> Snapshot:
        """Connect and search, again from the start when the directory fails in the middle."""
        resolved = resolve(self._report.definition)
        reader = Reader(
            self._connection, self._report, self._options, self._deadline, self._enter, self._connect, ahead=ahead
        )
        # The password anew for each attempt: it may have been refused meanwhile, when others offered it.
        return self._persistently(lambda: reader.read(resolved, self._password(resolved.definition)))

    def _persistently(self, step: Callable[..., Answer], *arguments: Any) -> Answer:
        """Do a step, and do it again after what may pass by itself."""
        policy = retrying(
            attempts=self._options.retry_attempts,
            base_seconds=self._options.retry_base,
            max_seconds=self._options.retry_max,
            deadline=self._deadline,
        )
        return policy(step, *arguments)

    def _plan(self, snapshot: Snapshot, conclude: Conclude) -> Outcome:
        """Plan, guard and conclude; again from the plan when somebody wrote the same contacts at that moment."""
        self._enter("plan")
        snapshot.staging.close(snapshot.known.unmatched())
        return self._persistently(self._change, snapshot, conclude)

    def _change(self, snapshot: Snapshot, conclude: Conclude) -> Outcome:
        """One transaction: readers see all of it or none of it."""
        definition = self._report.definition
        with applying(self._connection, definition):
            plan = make_plan(
                self._connection,
                definition,
                snapshot.columns,
                missing=snapshot.missing,
                everything=snapshot.remapped,
            )
            if self._report.mode is Mode.FULL:
                # Nearly, if somebody wrote them since; where the guard has something to say it counts them.
                plan = replace(plan, contacts=len(snapshot.known.ids))
            self._note_plan(plan, remapped=snapshot.remapped)
            if snapshot.told:
                self._report.missed = read_unreported(
                    self._connection, all_listed=snapshot.all_listed, unreported_fields=snapshot.unreported_fields
                )
            self._report.held_reason = self._guard(plan, snapshot)
            conclude(plan, snapshot)
        if self._report.held_reason:
            return Outcome.HELD
        return _outcome(plan)

    def _conclude(self, plan: Plan, snapshot: Snapshot) -> None:
        """Apply the plan, or keep it for somebody to decide when it is held."""
        definition, run_id = self._report.definition, self._report.run_id
        if self._report.held_reason:
            days = self._options.guard.approval_days
            keep_plan(self._connection, definition, snapshot.columns, run_id=run_id, days=days)
            # What is decided is decided over everything that there is.
            drop_cursor(self._connection, definition)
        else:
            self._enter("apply")
            self._deadline.remaining()
            photos = snapshot.staging.photos
            apply_plan(self._connection, definition, snapshot.columns, plan, run_id=run_id, photos=photos)
            self._note_applied(plan, snapshot)
        record_rejected(self._connection, definition, run_id=run_id)

    def _conclude_first_load(self, snapshot: Snapshot, load: FirstLoad) -> Outcome:
        """What went ahead is whole now. It deletes nothing, so that the guard has nothing to say. Raises InVain."""
        with EarlyLoad(load):
            self._enter("plan")
            plan = load.plan()
            self._note_plan(plan, remapped=False)
            self._enter("apply")
            self._deadline.remaining()
            self._note_applied(plan, snapshot)
            record_rejected(self._connection, self._report.definition, run_id=self._report.run_id)
            load.commit()
        return _outcome(plan)

    def _note_applied(self, plan: Plan, snapshot: Snapshot) -> None:
        note_applied(
            self._connection,
            self._report,
            _outcome(plan),
            source_digest=snapshot.digest,
            mapping_digest=snapshot.source.mapping.digest,
        )
        self._settle()
        self._keep_cursor(snapshot)

    def _show(self, limit: int | None, plan: Plan, snapshot: Snapshot) -> None:
        contacts = count_contacts(self._connection, self._report.definition)
        self._report.plan = replace(plan, contacts=contacts)
        self._report.changes = planned_changes(self._connection, snapshot.columns, limit=limit)
        raise Rollback

    def _settle(self) -> None:
        """Held plans that a folder in step has overtaken are done with."""
        settle_plans(self._connection, self._report.definition, run_id=self._report.run_id)

    def _keep_cursor(self, snapshot: Snapshot) -> None:
        """Note up to where the folder is in step, with the changes that brought it there."""
        definition = self._report.definition
        if not snapshot.cursor_moved:
            return
        if snapshot.cursor is None:
            drop_cursor(self._connection, definition)
        elif self._report.mode is Mode.FULL:
            set_cursor(self._connection, definition, snapshot.cursor, run_id=self._report.run_id)
        else:
            move_cursor(self._connection, definition, snapshot.cursor)

    def _guard(self, plan: Plan, snapshot: Snapshot) -> str | None:
        definition = self._report.definition
        ours = self._options.guard
        limits = replace(
            ours,
            delete_count=ours.delete_count if definition.max_delete_count is None else definition.max_delete_count,
            delete_share=ours.delete_share if definition.max_delete_share is None else definition.max_delete_share,
            allow_empty=definition.allow_empty,
        )
        # After a run was held everything is read; what increments deleted before it counts then as well.
        lately = deleted_lately(self._connection, definition, hours=HOURS) if plan.deletes else 0
        edited = not knows_source(self._connection, definition, snapshot.digest)
        reason = self._reason(plan, limits, lately=lately, edited=edited)
        approval = read_approval(self._connection, definition) if reason else None
        if reason is None or approval is None:
            return reason
        return reason_beyond_approval(reason, run_id=approval.run_id, beyond=approval.beyond, names=approval.names)

    def _reason(self, plan: Plan, limits: GuardLimits, *, lately: int, edited: bool) -> str | None:
        """Why the plan is to be held. Only as many contacts are counted as that takes."""
        if not plan.deletes:
            return None
        enough = enough_contacts(plan, limits, lately=lately)
        contacts = count_contacts(self._connection, self._report.definition, most=enough)
        full = self._report.mode is Mode.FULL
        entries = self._report.counts.entries if full else contacts - plan.deletes + plan.inserts
        counted = replace(plan, contacts=contacts)
        reason = reason_to_hold(counted, limits, entries=entries, source_edited=edited, lately=lately)
        if contacts == enough:
            if reason is None:
                return None
            # It lies elsewhere, and is told with the whole number.
            counted = replace(plan, contacts=count_contacts(self._connection, self._report.definition))
            reason = reason_to_hold(counted, limits, entries=entries, source_edited=edited, lately=lately)
        self._report.plan = counted
        return reason

    def _note_plan(self, plan: Plan, *, remapped: bool) -> None:
        counts = self._report.counts
        if remapped:
            counts.unchanged = max(0, counts.entries - plan.changes + plan.deletes - plan.refreshes - plan.rejected)
        counts.inserted, counts.updated, counts.deleted = plan.inserts, plan.updates, plan.deletes
        counts.refreshed, counts.rejected = plan.refreshes, plan.rejected
        self._report.plan = plan
        self._progress("plan", counts)

    def _enter(self, stage: str) -> None:
        self._watch.enter(stage)
        self._progress(stage, self._report.counts)


def _outcome(plan: Plan) -> Outcome:
    return Outcome.CHANGED if plan.changes else Outcome.UNCHANGED
