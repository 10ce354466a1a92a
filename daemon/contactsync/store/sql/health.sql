-- name: count_by_state
-- The good news first, then the worst.
WITH judged AS (
    SELECT d.folder_id, f.owner, f.name, r.error_code,
           CASE WHEN s.state = 'invalid' THEN 'invalid'
                WHEN NOT d.enabled THEN 'paused'
                WHEN s.state = 'locked' THEN 'locked'
                WHEN s.last_outcome = 'failed' THEN 'failing'
                WHEN s.last_outcome = 'held' THEN 'held'
                WHEN s.last_outcome IN ('unchanged', 'changed') THEN 'in step'
                ELSE 'waiting' END AS state
    FROM contactsync.sync_definitions AS d
    JOIN contactsync.folders AS f USING (folder_id)
    LEFT JOIN contactsync.sync_status AS s ON s.folder_id = d.folder_id AND s.definition_id = d.definition_id
    LEFT JOIN contactsync.sync_runs AS r
           ON s.last_outcome = 'failed' AND r.folder_id = s.folder_id AND r.run_id = s.last_run_id
), worst AS (
    SELECT DISTINCT ON (folder_id) folder_id, CASE WHEN owner IS NULL THEN name ELSE owner || '/' || name END AS label,
           state, CASE WHEN state IN ('failing', 'locked') THEN error_code END AS error_code
    FROM judged
    ORDER BY folder_id, array_position(ARRAY['locked', 'failing', 'invalid', 'held', 'waiting', 'in step', 'paused'], state)
), next AS (
    SELECT min(s.next_run_at) AS next_run_at
    FROM contactsync.sync_status AS s
    JOIN contactsync.sync_definitions AS d ON d.folder_id = s.folder_id AND d.definition_id = s.definition_id
    WHERE d.enabled AND s.state = 'valid'
)
SELECT w.state, count(*), (array_agg(w.label ORDER BY w.label))[1], (array_agg(w.error_code ORDER BY w.label))[1],
       (SELECT next_run_at FROM next)
FROM worst AS w
GROUP BY w.state
ORDER BY array_position(ARRAY['in step', 'locked', 'failing', 'invalid', 'held', 'waiting', 'paused'], w.state)

-- name: definition_health
-- `since` is what the first run is due after that has to succeed.
SELECT d.definition_id, CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END AS folder,
       d.name AS definition, NOT d.enabled AS paused,
       coalesce(s.state = 'invalid', false) AS invalid, coalesce(s.state = 'locked', false) AS locked,
       coalesce(s.last_outcome = 'held', false) AS held, coalesce(s.last_outcome = 'failed', false) AS failing,
       s.last_success_at, coalesce(s.last_success_at, d.created_at) AS since
FROM contactsync.sync_definitions AS d
JOIN contactsync.folders AS f USING (folder_id)
LEFT JOIN contactsync.sync_status AS s ON s.folder_id = d.folder_id AND s.definition_id = d.definition_id
ORDER BY d.definition_id
