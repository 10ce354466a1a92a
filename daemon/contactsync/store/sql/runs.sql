-- name: lock_definition
-- One run at a time for each definition, whichever process makes it. The lock goes with the session, so a killed
-- process leaves none behind.
SELECT pg_try_advisory_lock(hashtextextended('contactsync.run', %(definition_id)s))

-- name: unlock_everything
-- What a pooled connection does before the next one gets it.
SELECT pg_advisory_unlock_all()

-- name: drop_temporary_tables
DISCARD TEMP

-- name: interrupt_own
-- Runs of a definition that never ended; for whoever holds the definition's lock.
UPDATE contactsync.sync_runs
SET outcome = 'interrupted', finished_at = now(),
    error_code = 'run.interrupted', error = 'The process that made this run ended before the run did.'
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND outcome IS NULL

-- name: interrupt_abandoned
-- The same for all definitions that no living process holds the lock of. Returns what was found.
WITH abandoned AS MATERIALIZED (
    SELECT folder_id, run_id FROM contactsync.sync_runs
    WHERE outcome IS NULL
      AND pg_try_advisory_xact_lock(hashtextextended('contactsync.run', definition_id))
), marked AS (
    UPDATE contactsync.sync_runs AS r
    SET outcome = 'interrupted', finished_at = now(),
        error_code = 'run.interrupted', error = 'The process that made this run ended before the run did.'
    FROM abandoned AS a
    WHERE r.folder_id = a.folder_id AND r.run_id = a.run_id
    RETURNING r.folder_id, r.run_id, r.definition_id, r.definition
), noted AS (
    UPDATE contactsync.sync_status AS s
    SET last_outcome = 'interrupted', last_run_id = m.run_id
    FROM marked AS m
    WHERE s.folder_id = m.folder_id AND s.definition_id = m.definition_id
)
SELECT run_id, definition FROM marked ORDER BY run_id

-- name: begin_run
-- Opens the record of a run, in one statement with the note of when the definition last started.
WITH noted AS (
    INSERT INTO contactsync.sync_status (folder_id, definition_id, last_started_at)
    VALUES (%(folder_id)s, %(definition_id)s, now())
    ON CONFLICT (folder_id, definition_id) DO UPDATE SET last_started_at = excluded.last_started_at
)
INSERT INTO contactsync.sync_runs (folder_id, definition_id, definition, trigger)
VALUES (%(folder_id)s, %(definition_id)s, %(definition)s, %(trigger)s)
RETURNING run_id, started_at

-- name: finish_run
-- Closes the record, once: a run that was marked in the meantime keeps its mark.
UPDATE contactsync.sync_runs
SET outcome = %(outcome)s, finished_at = clock_timestamp(), server = %(server)s, attempts = %(attempts)s,
    entries = %(entries)s, unchanged = %(unchanged)s, refreshed = %(refreshed)s, rejected = %(rejected)s,
    search_references = %(references)s, trimmed = %(trimmed)s,
    inserted = %(inserted)s, updated = %(updated)s, deleted = %(deleted)s,
    seconds = %(seconds)s, error_code = %(error_code)s, error = %(error)s, held_reason = %(held_reason)s
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND outcome IS NULL

-- name: note_outcome
UPDATE contactsync.sync_status
SET state = coalesce(%(state)s, state),
    reason = CASE %(state)s WHEN 'valid' THEN NULL WHEN 'invalid' THEN %(error)s ELSE reason END,
    last_run_id = %(run_id)s, last_outcome = %(outcome)s,
    last_success_at = CASE WHEN %(outcome)s IN ('unchanged', 'changed') THEN clock_timestamp() ELSE last_success_at END
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: latest_runs
SELECT r.run_id, r.definition, r.trigger, r.outcome, r.started_at, r.finished_at, r.server, r.attempts, r.entries,
       r.unchanged, r.refreshed, r.rejected, r.search_references, r.trimmed, r.inserted, r.updated, r.deleted,
       r.seconds, r.error_code, r.error, r.held_reason
FROM contactsync.sync_runs AS r
WHERE %(definition_id)s::bigint IS NULL OR r.definition_id = %(definition_id)s
ORDER BY r.run_id DESC
LIMIT %(limit)s

-- name: changes_of_run
SELECT contact_id, action, display_name, changes
FROM contactsync.contact_changes
WHERE run_id = %(run_id)s AND folder_id = %(folder_id)s
ORDER BY action, display_name, contact_id
LIMIT %(limit)s

-- name: forget_runs
-- History is kept for a set time; the newest run of each definition stays, whatever its age.
DELETE FROM contactsync.sync_runs AS r
WHERE r.finished_at < now() - make_interval(days => %(keep_days)s)
  AND NOT EXISTS (SELECT FROM contactsync.sync_status AS s WHERE s.last_run_id = r.run_id AND s.folder_id = r.folder_id)

-- name: forget_departed
DELETE FROM contactsync.departed_contacts WHERE departed_at < now() - make_interval(days => %(keep_days)s)
