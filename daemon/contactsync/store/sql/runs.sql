-- name: lock_definition
-- One run at a time for each definition, over all processes. The lock ends with the session, also of a killed process.
SELECT pg_try_advisory_lock(hashtextextended('contactsync.run', %(definition_id)s))

-- name: unlock_everything
-- Resets a connection before it returns to the pool, as the end of a run's record does. The other columns are those of
-- `session_state`.
SELECT pg_advisory_unlock_all(), pg_is_in_recovery(), current_setting('transaction_read_only')::boolean, pg_backend_pid()
FROM (SELECT set_config('statement_timeout', '0', false)) AS without_limit

-- name: drop_temporary_tables
DISCARD TEMP

-- name: interrupt_abandoned
-- Closes the runs of all definitions that no process has locked. Returns those that were not applied.
WITH abandoned AS MATERIALIZED (
    SELECT folder_id, run_id FROM contactsync.sync_runs
    WHERE finished_at IS NULL
      AND pg_try_advisory_xact_lock(hashtextextended('contactsync.run', definition_id))
), marked AS (
    UPDATE contactsync.sync_runs AS r
    SET error_code = CASE WHEN r.outcome IS NULL THEN 'run.interrupted' END,
        error = CASE WHEN r.outcome IS NULL THEN 'The process that made this run ended before the run did.' END,
        outcome = coalesce(r.outcome, 'interrupted'), finished_at = now()
    FROM abandoned AS a
    WHERE r.folder_id = a.folder_id AND r.run_id = a.run_id
    RETURNING r.folder_id, r.run_id, r.definition_id, r.definition, r.outcome, r.source_digest, r.mapping_digest
), noted AS (
    UPDATE contactsync.sync_status AS s
    SET last_outcome = m.outcome, last_run_id = m.run_id,
        source_digest = coalesce(m.source_digest, s.source_digest),
        mapping_digest = coalesce(m.mapping_digest, s.mapping_digest)
    FROM marked AS m
    WHERE s.folder_id = m.folder_id AND s.definition_id = m.definition_id
)
SELECT run_id, definition FROM marked WHERE outcome = 'interrupted' ORDER BY run_id

-- name: locked_reason
SELECT reason FROM contactsync.sync_status
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND state = 'locked'

-- name: begin_run
-- Reads a definition, takes the lock of its runs, opens the record of a run, stores its start, and closes earlier runs
-- without an end: their processes have ended, since this session holds the lock. An applied one keeps its outcome. Returns
-- no row if there is no such definition. There is no run_id without the lock, or if the definition is locked, unless
-- retry_locked: the state is that of the newest row, since a run that has just ended may have set it. The last columns are
-- the number of entries of the last complete full run, and whether there are plans that wait for a decision or are approved.
-- A node that others have ended does not get the lock: they end its sessions afterwards, but it may have opened this one later.
-- The commit waits for the disk: after a crash of PostgreSQL the number of the run may not be given to another one.
WITH d AS MATERIALIZED (
    SELECT {columns}, CASE
        WHEN %(node_id)s::bigint IS NULL
          OR EXISTS (SELECT FROM contactsync.fleet_nodes WHERE node_id = %(node_id)s AND ended_at IS NULL)
        THEN pg_try_advisory_lock(hashtextextended('contactsync.run', d.definition_id)) ELSE false END AS is_locked
    FROM contactsync.sync_definitions AS d JOIN contactsync.folders AS f USING (folder_id)
    WHERE d.definition_id = %(definition_id)s
), interrupted AS (
    UPDATE contactsync.sync_runs AS r
    SET error_code = CASE WHEN outcome IS NULL THEN 'run.interrupted' END,
        error = CASE WHEN outcome IS NULL THEN 'The process that made this run ended before the run did.' END,
        outcome = coalesce(outcome, 'interrupted'), finished_at = now()
    FROM d WHERE d.is_locked
      AND r.folder_id = d.folder_id AND r.definition_id = %(definition_id)s AND r.finished_at IS NULL
    RETURNING r.run_id, r.source_digest, r.mapping_digest
), applied AS (
    SELECT source_digest, mapping_digest FROM interrupted WHERE mapping_digest IS NOT NULL ORDER BY run_id DESC LIMIT 1
), noted AS (
    INSERT INTO contactsync.sync_status AS s (folder_id, definition_id, last_started_at, last_revision)
    SELECT folder_id, definition_id, now(), revision FROM d WHERE is_locked
    ON CONFLICT (folder_id, definition_id) DO UPDATE
    SET last_started_at = excluded.last_started_at, last_revision = excluded.last_revision,
        source_digest = coalesce((SELECT source_digest FROM applied), s.source_digest),
        mapping_digest = coalesce((SELECT mapping_digest FROM applied), s.mapping_digest)
    WHERE %(retry_locked)s OR s.state <> 'locked'
    RETURNING 1
), begun AS (
    INSERT INTO contactsync.sync_runs (folder_id, definition_id, definition, trigger)
    SELECT folder_id, definition_id, contactsync.definition_label(folder, owner, name), %(trigger)s FROM d, noted
    RETURNING run_id, started_at
)
SELECT d.*, run_id, started_at, (
    SELECT before.entries FROM contactsync.sync_runs AS before
    WHERE before.folder_id = d.folder_id AND before.definition_id = d.definition_id
      AND before.mode = 'full' AND before.outcome IN ('unchanged', 'changed')
    ORDER BY before.run_id DESC LIMIT 1) AS entries_before, EXISTS (
    SELECT FROM contactsync.held_plans AS p
    WHERE p.folder_id = d.folder_id AND p.definition_id = d.definition_id
      AND (p.decision IS NULL OR p.decision = 'approved')) AS open_plans
FROM d LEFT JOIN begun ON true

-- name: note_applied
-- Written in the transaction of the changes, so that the record is right whatever happens after the commit.
UPDATE contactsync.sync_runs
SET outcome = %(outcome)s, inserted = %(inserted)s, updated = %(updated)s, deleted = %(deleted)s,
    refreshed = %(refreshed)s, rejected = %(rejected)s, rekeyed = %(rekeyed)s,
    source_digest = %(source_digest)s, mapping_digest = %(mapping_digest)s
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND finished_at IS NULL

-- name: finish_run
-- Closes the record once, and updates the definition's status. An outcome that was noted with the changes stays, also if
-- the connection broke after the commit and the run reports a failure. If the definition was edited during the run, its
-- state stays.
-- Then it releases the lock of the run, in the same round trip. A run that begins before this commit waits for it at the
-- rows that both write. After a run that succeeded the commit does not wait for the disk. If PostgreSQL crashes before, the
-- changes of the run are safe with its outcome. A run that found nothing changed counts as interrupted then, and its
-- definition is due again.
WITH finished AS (
    UPDATE contactsync.sync_runs
    SET finished_at = clock_timestamp(), mode = %(mode)s, full_reason = %(full_reason)s, server = %(server)s,
        skipped_servers = %(skipped_servers)s, attempts = %(attempts)s,
        entries = %(entries)s, unchanged = %(unchanged)s, search_references = %(references)s, trimmed = %(trimmed)s,
        refreshed = CASE WHEN outcome IS NULL THEN %(refreshed)s ELSE refreshed END,
        rejected = CASE WHEN outcome IS NULL THEN %(rejected)s ELSE rejected END,
        inserted = CASE WHEN outcome IS NULL THEN %(inserted)s ELSE inserted END,
        updated = CASE WHEN outcome IS NULL THEN %(updated)s ELSE updated END,
        deleted = CASE WHEN outcome IS NULL THEN %(deleted)s ELSE deleted END,
        rekeyed = CASE WHEN outcome IS NULL THEN %(rekeyed)s ELSE rekeyed END,
        seconds = %(seconds)s, held_reason = %(held_reason)s,
        error_code = CASE WHEN outcome IS NULL THEN %(error_code)s END,
        error = CASE WHEN outcome IS NULL THEN %(error)s END,
        outcome = coalesce(outcome, %(outcome)s)
    WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND finished_at IS NULL
    RETURNING outcome, finished_at, inserted, updated, deleted, refreshed, rejected, source_digest, mapping_digest
), truth AS (
    -- Another process may have closed the record already; then the run's own outcome counts.
    SELECT t.outcome, CASE WHEN t.outcome = %(outcome)s THEN %(state)s ELSE 'valid' END AS state,
           CASE WHEN t.outcome = %(outcome)s THEN %(error)s END AS error
    FROM (SELECT coalesce((SELECT outcome FROM finished), %(outcome)s)) AS t (outcome)
), noted AS (
    UPDATE contactsync.sync_status AS s
    SET state = CASE WHEN d.revision = %(revision)s THEN coalesce(t.state, s.state) ELSE s.state END,
        reason = CASE WHEN d.revision <> %(revision)s OR t.state IS NULL THEN s.reason
                      WHEN t.state <> 'valid' THEN t.error END,
        last_run_id = %(run_id)s, last_outcome = t.outcome,
        source_digest = coalesce((SELECT source_digest FROM finished), %(source_digest)s, s.source_digest),
        mapping_digest = coalesce((SELECT mapping_digest FROM finished), %(mapping_digest)s, s.mapping_digest),
        last_success_at = CASE WHEN t.outcome IN ('unchanged', 'changed') THEN clock_timestamp()
                               ELSE s.last_success_at END
    FROM contactsync.sync_definitions AS d, truth AS t
    WHERE s.folder_id = %(folder_id)s AND s.definition_id = %(definition_id)s
      AND d.folder_id = s.folder_id AND d.definition_id = s.definition_id
)
SELECT f.outcome, f.finished_at, f.inserted, f.updated, f.deleted, f.refreshed, f.rejected,
       CASE WHEN %(outcome)s IN ('unchanged', 'changed') THEN set_config('synchronous_commit', 'off', true) END,
       pg_advisory_unlock_all(), pg_is_in_recovery(), current_setting('transaction_read_only')::boolean, pg_backend_pid()
FROM (SELECT) AS run LEFT JOIN finished AS f ON true

-- name: finish_idle_run
-- Removes the record of an increment with nothing to do, and updates the definition's status. Returns no row, and does
-- nothing, unless the run before brought the folder in sync and no request waits for this run.
WITH removed AS (
    DELETE FROM contactsync.sync_runs AS r
    USING contactsync.sync_status AS s
    WHERE r.folder_id = %(folder_id)s AND r.run_id = %(run_id)s AND r.finished_at IS NULL
      AND s.folder_id = r.folder_id AND s.definition_id = %(definition_id)s
      AND s.last_outcome IN ('unchanged', 'changed') AND s.state = 'valid'
      AND NOT EXISTS (SELECT FROM contactsync.sync_requests AS q
                      WHERE q.definition_id = r.definition_id AND q.run_id = r.run_id AND q.finished_at IS NULL)
    RETURNING clock_timestamp() AS finished_at
), noted AS (
    UPDATE contactsync.sync_status AS s
    SET last_outcome = 'unchanged', last_success_at = r.finished_at
    FROM removed AS r
    WHERE s.folder_id = %(folder_id)s AND s.definition_id = %(definition_id)s
)
SELECT finished_at, set_config('synchronous_commit', 'off', true),
       pg_advisory_unlock_all(), pg_is_in_recovery(), current_setting('transaction_read_only')::boolean, pg_backend_pid()
FROM removed

-- name: runs
-- Runs, newest first. An empty owner is that of shared folders.
SELECT r.folder_id, r.run_id, r.definition_id, r.definition AS label, r.trigger, r.mode, r.outcome, r.started_at,
       r.finished_at, r.full_reason, r.server, r.skipped_servers, r.attempts, r.entries, r.unchanged, r.refreshed, r.rejected,
       r.search_references AS "references", r.trimmed, r.inserted, r.updated, r.deleted, r.rekeyed, r.seconds AS stages, r.error_code,
       r.error, r.held_reason, r.undoes, contactsync.undone_by(r.folder_id, r.run_id) AS undone_by, r.node
FROM contactsync.sync_runs AS r
WHERE true
  AND r.definition_id = ANY (%(definition_ids)s) -- if definition_ids
  AND r.folder_id = ANY (%(folder_ids)s) -- if folder_ids
  AND r.run_id = %(run_id)s -- if run_id
  AND r.run_id < %(before)s -- if before
  AND r.folder_id = %(folder_id)s -- if folder_id
  AND r.folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f WHERE coalesce(f.owner, '') = %(owner)s) -- if owner
  AND r.outcome = %(outcome)s -- if outcome
  AND r.outcome IS NULL AND r.finished_at IS NULL -- if running
  AND r.outcome = 'changed' -- if changed
  AND r.trigger = %(trigger)s -- if trigger
  AND r.started_at >= %(since)s -- if since
  AND r.started_at < %(until)s -- if until
ORDER BY r.run_id DESC
LIMIT %(limit)s

-- name: deleted_lately
-- The number of contacts that incremental runs deleted in the last hours. Not counted are runs up to the last approval that
-- was used, and runs that were undone.
SELECT coalesce(sum(r.deleted), 0)
FROM contactsync.sync_runs AS r
WHERE r.folder_id = %(folder_id)s AND r.definition_id = %(definition_id)s AND r.deleted > 0
  AND r.started_at > now() - make_interval(hours => %(hours)s) AND r.mode = 'incremental' AND r.outcome = 'changed'
  AND r.run_id > coalesce((
      SELECT max(h.settled_by) FROM contactsync.held_plans AS h
      WHERE h.folder_id = r.folder_id AND h.definition_id = r.definition_id AND h.decision = 'used'), 0)
  AND contactsync.undone_by(r.folder_id, r.run_id) IS NULL

-- name: changes_of_run
SELECT contact_id, action, display_name, coalesce(changes, '{}') AS fields, matched_by
FROM contactsync.contact_changes
WHERE run_id = %(run_id)s AND folder_id = %(folder_id)s
ORDER BY action, display_name, contact_id
LIMIT %(limit)s

-- name: changes_page
SELECT contact_id, action, display_name, coalesce(changes, '{}') AS fields, matched_by
FROM contactsync.contact_changes
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND contact_id > %(after)s
  AND action = %(action)s -- if action
ORDER BY contact_id
LIMIT %(limit)s

-- name: changes_of_definition
-- The newest run first, by the primary key. An insert whose contact has no history yet has no fields.
SELECT c.contact_id, c.action, c.display_name, coalesce(c.changes, '{}') AS fields, c.matched_by, c.run_id, r.trigger,
       coalesce(r.finished_at, r.started_at) AS at
FROM contactsync.contact_changes AS c
JOIN contactsync.sync_runs AS r ON r.folder_id = c.folder_id AND r.run_id = c.run_id
WHERE c.folder_id = %(folder_id)s AND r.definition_id = %(definition_id)s
  AND (c.run_id, c.contact_id) < (%(run_id)s, %(contact_id)s) -- if run_id
  AND c.action = %(action)s -- if action
  AND c.display_name ~ ALL (%(patterns)s) -- if patterns
ORDER BY c.run_id DESC, c.contact_id DESC
LIMIT %(limit)s

-- name: rejected_of_run
SELECT dn, reason FROM contactsync.rejected_entries
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND (dn, reason) > (%(dn)s, %(reason)s)
ORDER BY dn, reason
LIMIT %(limit)s

-- name: record_trimmed
INSERT INTO contactsync.trimmed_values (folder_id, run_id, dn, source_key, fingerprint, field, reason)
VALUES (%(folder_id)s, %(run_id)s, %(dn)s, %(key)s, %(fingerprint)s, %(field)s, %(reason)s)

-- name: trimmed_of_run
SELECT dn, field, reason FROM contactsync.trimmed_values
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND (dn, field, reason) > (%(dn)s, %(field)s, %(reason)s)
ORDER BY dn, field, reason
LIMIT %(limit)s

-- name: forget_runs
-- The last run of each definition stays, whatever its age.
DELETE FROM contactsync.sync_runs AS r
WHERE r.finished_at < now() - make_interval(days => %(keep_days)s)
  AND NOT EXISTS (SELECT FROM contactsync.sync_status AS s WHERE s.last_run_id = r.run_id AND s.folder_id = r.folder_id)

-- name: forget_departed
DELETE FROM contactsync.departed_contacts WHERE departed_at < now() - make_interval(days => %(keep_days)s)
