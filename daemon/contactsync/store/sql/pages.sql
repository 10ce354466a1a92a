-- name: runs_page
-- Runs from the newest on, of one definition or of all, older than a given one.
SELECT r.folder_id, r.run_id, r.definition_id, r.definition AS label, r.trigger, r.mode, r.outcome, r.started_at,
       r.finished_at, r.full_reason, r.server, r.skipped_servers, r.attempts, r.entries, r.unchanged, r.refreshed, r.rejected,
       r.search_references AS "references", r.trimmed, r.inserted, r.updated, r.deleted, r.seconds, r.error_code,
       r.error, r.held_reason
FROM contactsync.sync_runs AS r
WHERE (%(definition_id)s::bigint IS NULL OR r.definition_id = %(definition_id)s)
  AND (%(run_id)s::bigint IS NULL OR r.run_id = %(run_id)s)
  AND (%(before)s::bigint IS NULL OR r.run_id < %(before)s)
ORDER BY r.run_id DESC
LIMIT %(limit)s

-- name: changes_page
SELECT contact_id, action, display_name, changes
FROM contactsync.contact_changes
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND contact_id > %(after)s
ORDER BY contact_id
LIMIT %(limit)s

-- name: folders_overview
SELECT f.folder_id, f.name, f.owner,
       CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END AS label,
       ARRAY(SELECT d.definition_id FROM contactsync.sync_definitions AS d
             WHERE d.folder_id = f.folder_id ORDER BY d.definition_id) AS definitions,
       (SELECT count(*) FROM contactsync.contacts AS c WHERE c.folder_id = f.folder_id) AS contacts
FROM contactsync.folders AS f
ORDER BY f.owner NULLS FIRST, f.name
