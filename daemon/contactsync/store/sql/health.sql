-- name: count_by_state
-- The folders by the worst state of their definitions: `ok` first, then from the worst to the best.
WITH worst AS (
    SELECT DISTINCT ON (folder_id) CASE WHEN owner IS NULL THEN folder ELSE owner || '/' || folder END AS label, state, error_code
    FROM contactsync.definition_overview
    ORDER BY folder_id, array_position(
        ARRAY['locked', 'failing', 'invalid', 'held', 'interrupted', 'never_run', 'ok', 'paused'], state)
)
SELECT state, count(*), (array_agg(label ORDER BY label))[1], (array_agg(error_code ORDER BY label))[1],
       (SELECT min(next_run_at) FROM contactsync.definition_overview WHERE state NOT IN ('invalid', 'paused', 'locked'))
FROM worst
GROUP BY state
ORDER BY array_position(ARRAY['ok', 'locked', 'failing', 'invalid', 'held', 'interrupted', 'never_run', 'paused'], state)

-- name: definition_health
-- The first run after `since` has to succeed.
SELECT definition_id, CASE WHEN owner IS NULL THEN folder ELSE owner || '/' || folder END AS folder, definition, state,
       last_success_at, coalesce(last_success_at, created_at) AS since
FROM contactsync.definition_overview
ORDER BY definition_id

-- name: folders_overview
SELECT f.folder_id, f.name, f.owner,
       CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END AS label,
       ARRAY(SELECT d.definition_id FROM contactsync.sync_definitions AS d
             WHERE d.folder_id = f.folder_id ORDER BY d.definition_id) AS definitions,
       (SELECT count(*) FROM contactsync.contacts AS c WHERE c.folder_id = f.folder_id) AS contacts
FROM contactsync.folders AS f
WHERE f.folder_id > %(after)s
  AND f.folder_id = ANY (%(folder_ids)s) -- if folder_ids
  AND coalesce(f.owner, '') = %(owner)s -- if owner
  AND strpos(lower(f.name), lower(%(text)s)) > 0 -- if text
ORDER BY f.folder_id
LIMIT %(limit)s

-- name: daemon_listens
-- Every daemon listens on one connection with this name. pg_stat_activity shows the names of all users' connections.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %(application_name)s)

-- name: count_definitions
SELECT state, count(*), sum(contacts)::bigint FROM contactsync.definition_overview GROUP BY state ORDER BY min(definition_id)

-- name: first_next_run
SELECT label, next_run_at, definition_id FROM contactsync.definition_overview
WHERE enabled AND next_run_at IS NOT NULL
ORDER BY next_run_at
LIMIT 1
