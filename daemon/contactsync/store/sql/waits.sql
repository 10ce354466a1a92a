-- name: waiting_sessions
-- contactsync's sessions that wait for a synchronous standby or for a lock, with the folder of the run: a run holds the
-- advisory lock of its definition.
SELECT a.pid, a.query_start, a.wait_event = 'SyncRep', r.label, pg_blocking_pids(a.pid)
FROM pg_stat_activity AS a
LEFT JOIN LATERAL (
    SELECT CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END AS label
    FROM contactsync.sync_definitions AS d
    JOIN contactsync.folders AS f USING (folder_id)
    CROSS JOIN hashtextextended('contactsync.run', d.definition_id) AS k (key)
    JOIN pg_locks AS l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & 4294967295
    LIMIT 1
) AS r ON true
WHERE a.datname = current_database() AND a.usename = session_user AND a.application_name LIKE 'contactsync%%'
    AND a.pid <> pg_backend_pid() AND (a.wait_event = 'SyncRep' OR a.wait_event_type = 'Lock')

-- name: run_lock_holder
-- The session that holds the lock of a definition, and since when: its run's start, or else when it connected.
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'no application name'),
       coalesce((SELECT max(r.started_at) FROM contactsync.sync_runs AS r
                 WHERE r.folder_id = %(folder_id)s AND r.definition_id = %(definition_id)s AND r.outcome IS NULL),
                a.backend_start),
       a.wait_event IS NOT DISTINCT FROM 'SyncRep'
FROM hashtextextended('contactsync.run', %(definition_id)s) AS k (key)
JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & 4294967295
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
JOIN pg_stat_activity AS a USING (pid)
LIMIT 1
