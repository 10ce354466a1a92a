"""One run, from the definition to the record.

    definition -> connect -> search -> map -> stage -> plan -> guard -> apply -> record

Everything before the plan may be repeated if the directory fails; it does not touch `contacts`. The plan, the guard and
the apply are one transaction. A preview does the same without the last step. contactsync.sync.early_load is a shortcut
for a first load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog
from psycopg import Rollback

from contactsync.errors import NoUsableEntries
from contactsync.ldap.dn import comparison_key
from contactsync.model import Absence, Change, Mode, Outcome, Plan
from contactsync.store.plan.plan import (
    apply_plan,
    applying,
    count_contacts,
    make_plan,
    read_unreported,
    record_rejected,
    record_trimmed,
)
from contactsync.store.plan.rekey import recognise
from contactsync.store.record.cursors import drop_cursor, move_cursor, set_cursor
from contactsync.store.record.holds import keep_plan, planned_changes, settle_plans
from contactsync.store.record.runs import note_applied
from contactsync.sync.definition import resolve
from contactsync.sync.early_load import EarlyLoad, EarlyLoadAborted
from contactsync.sync.guard.hold import Hold, hold_of
from contactsync.sync.reader import Reader, Snapshot

if TYPE_CHECKING:
    from contactsync.sync.context import RunContext

_log = structlog.get_logger()


class Run:
    """One run of one definition, which fills the context's report."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._connection = context.connection
        self._definition = context.definition
        self._report = context.report

    def carry_out(self) -> None:
        """Make the run. Raises ContactsyncError; the report then says how far the run came."""
        try:
            try:
                self._attempt(early_load=True)
            except EarlyLoadAborted as error:
                _log.info("run.restarted", reason=error.message)
                self._attempt(early_load=False)
        finally:
            self._context.end_stage()

    def preview(self, limit: int | None) -> tuple[Change, ...]:
        """Make and check the plan, change nothing, and return the first `limit` changes (None: all).

        Raises ContactsyncError.
        """
        try:
            snapshot = self._read(early_load=False)
            if snapshot.unchanged:
                self._report.outcome = Outcome.UNCHANGED
                return ()
            self._close_staging(snapshot)
            return self._context.retry(partial(self._plan_only, snapshot, limit))
        finally:
            self._context.end_stage()

    def _attempt(self, *, early_load: bool) -> None:
        snapshot = self._read(early_load=early_load)
        self._report.outcome = self._bring_in_sync(snapshot)
        if self._report.outcome is not Outcome.HELD:
            self._report.source_digest = snapshot.digest
            self._report.mapping_digest = snapshot.source.mapping.digest

    def _read(self, *, early_load: bool) -> Snapshot:
        """Connect and search, again from the start if the directory fails."""
        resolved = resolve(self._definition)
        reader = Reader(self._context, early_load=early_load)
        return self._context.retry(lambda: reader.read(resolved))

    def _bring_in_sync(self, snapshot: Snapshot) -> Outcome:
        if snapshot.early_load:
            return self._commit_early_load(snapshot, snapshot.early_load)
        if snapshot.unchanged:
            self._finish(snapshot)
            return Outcome.UNCHANGED
        self._close_staging(snapshot)
        return self._context.retry(partial(self._plan_and_apply, snapshot))

    def _close_staging(self, snapshot: Snapshot) -> None:
        self._context.enter("plan")
        snapshot.staging.close(snapshot.stored.unmatched())

    def _plan_and_apply(self, snapshot: Snapshot) -> Outcome:
        """One transaction: other sessions see all of it or nothing."""
        missed: tuple[int, tuple[str, ...]] = (0, ())
        with self._planned(snapshot) as (plan, hold):
            useless = self._nothing_usable(plan)
            if reported := snapshot.reported:
                missed = read_unreported(
                    self._connection,
                    all_listed=reported.all_listed,
                    unreported_fields=reported.unreported_fields,
                )
            with self._connection.pipeline():  # one round trip
                if hold:
                    self._hold(snapshot, hold)
                elif not useless:
                    self._apply(plan, snapshot)
                self._record_defects(plan)
        if useless and not hold:
            raise useless
        count, contacts = missed
        if count:
            _log.error("run.missed", server=self._report.server, count=count, contacts=contacts)
        return Outcome.HELD if hold else _outcome(plan)

    def _record_defects(self, plan: Plan) -> None:
        run_id = self._report.run_id
        if plan.rejected:
            record_rejected(self._connection, self._definition, run_id=run_id)
        record_trimmed(self._connection, self._definition, self._report.trimmed_values, run_id=run_id)

    def _nothing_usable(self, plan: Plan) -> NoUsableEntries | None:
        """The error for a full search whose entries are all rejected: a folder that stays as it is would look fine."""
        if self._report.mode is not Mode.FULL or not plan.rejected or plan.rejected < self._report.counts.entries:
            return None
        reason = plan.rejected_sample[0][1].rstrip(".") if plan.rejected_sample else "the run's record says why"
        return NoUsableEntries(
            f"The directory returned {plan.rejected:,} entries, none of which can be a contact: {reason}.",
            hint='Set "identity" in the mapping to an attribute that each entry has for good, such as "uid".',
        )

    def _plan_only(self, snapshot: Snapshot, limit: int | None) -> tuple[Change, ...]:
        changes: tuple[Change, ...] = ()
        with self._planned(snapshot) as (plan, hold):
            self._report.plan = replace(plan, contacts=count_contacts(self._connection, self._definition))
            changes = planned_changes(self._connection, snapshot.columns, limit=limit)
            self._report.outcome = Outcome.HELD if hold else _outcome(plan)
            raise Rollback
        return changes

    @contextmanager
    def _planned(self, snapshot: Snapshot) -> Iterator[tuple[Plan, Hold | None]]:
        """A transaction with the plan, and why the guard holds it."""
        with applying(self._connection, self._definition):
            plan = make_plan(
                self._connection,
                self._definition,
                snapshot.columns,
                absence=snapshot.absence,
                everything=snapshot.remapped,
                # If the directory lists unchanged entries, any number of others is gone.
                analyze=snapshot.staging.analyzed or snapshot.absence is Absence.NOT_LISTED,
            )
            if plan.deletes and plan.inserts > plan.returned:
                plan = recognise(self._connection, self._definition, snapshot.columns, comparison_key)
            if self._report.mode is Mode.FULL:
                # Contacts may have been written since; the guard counts them again if it has to.
                plan = replace(plan, contacts=len(snapshot.stored.ids))
            self._note_plan(plan, remapped=snapshot.remapped)
            hold = hold_of(self._context, plan, snapshot.digest)
            self._report.held_reason = hold.reason if hold else None
            yield plan, hold

    def _apply(self, plan: Plan, snapshot: Snapshot) -> None:
        self._context.enter("apply")
        self._context.deadline.remaining()
        apply_plan(
            self._connection,
            self._definition,
            snapshot.columns,
            plan,
            run_id=self._report.run_id,
            photos=snapshot.staging.photos,
        )
        self._note_applied(plan, snapshot)

    def _hold(self, snapshot: Snapshot, hold: Hold) -> None:
        """Keep the plan for an administrator's decision."""
        keep_plan(
            self._connection,
            self._definition,
            snapshot.columns,
            run_id=self._report.run_id,
            days=self._context.options.guard.approval_days,
            cleared=hold.cleared,
        )
        # The next run has to read all entries, so that the decision covers everything.
        drop_cursor(self._connection, self._definition)

    def _commit_early_load(self, snapshot: Snapshot, load: EarlyLoad) -> Outcome:
        self._context.enter("plan")
        with load.committed() as plan:
            self._note_plan(plan, remapped=False)
            if useless := self._nothing_usable(plan):
                raise useless
            self._context.enter("apply")
            self._context.deadline.remaining()
            with self._connection.pipeline():  # one round trip
                self._note_applied(plan, snapshot)
                self._record_defects(plan)
        return _outcome(plan)

    def _note_applied(self, plan: Plan, snapshot: Snapshot) -> None:
        if plan.rekeyed:
            _log.info("run.rekeyed", count=plan.rekeyed, by=dict(plan.recognised))
        note_applied(
            self._connection,
            self._report,
            _outcome(plan),
            source_digest=snapshot.digest,
            mapping_digest=snapshot.source.mapping.digest,
        )
        self._finish(snapshot)

    def _finish(self, snapshot: Snapshot) -> None:
        """Close the held plans that the folder's new state replaces, and store the cursor with it."""
        if self._context.open_plans:
            settle_plans(self._connection, self._definition, run_id=self._report.run_id)
        if snapshot.cursor_update is None:
            return
        cursor = snapshot.cursor_update.cursor
        if cursor is None:
            drop_cursor(self._connection, self._definition)
        elif self._report.mode is Mode.FULL:
            set_cursor(self._connection, self._definition, cursor, run_id=self._report.run_id)
        else:
            move_cursor(self._connection, self._definition, cursor)

    def _note_plan(self, plan: Plan, *, remapped: bool) -> None:
        counts = self._report.counts
        if remapped:
            counts.unchanged = max(0, counts.entries - plan.changes + plan.deletes - plan.refreshes - plan.rejected)
        counts.inserted, counts.updated, counts.deleted = plan.inserts, plan.updates, plan.deletes
        counts.refreshed, counts.rejected, counts.rekeyed = plan.refreshes, plan.rejected, plan.rekeyed
        self._report.plan = plan
        self._context.observer.progress(self._report, "plan")


def _outcome(plan: Plan) -> Outcome:
    return Outcome.CHANGED if plan.changes else Outcome.UNCHANGED
