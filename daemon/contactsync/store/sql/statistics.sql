-- name: runs_by_day
-- Per day of UTC. A run counts on the day of its start.
SELECT (r.started_at AT TIME ZONE 'UTC')::date AS day, count(*) AS runs,
       count(*) FILTER (WHERE r.outcome IN ('failed', 'interrupted')) AS failed,
       count(*) FILTER (WHERE r.outcome = 'held') AS held,
       coalesce(sum(r.inserted) FILTER (WHERE r.outcome = 'changed'), 0)::bigint AS inserted,
       coalesce(sum(r.updated) FILTER (WHERE r.outcome = 'changed'), 0)::bigint AS updated,
       coalesce(sum(r.deleted) FILTER (WHERE r.outcome = 'changed'), 0)::bigint AS deleted,
       coalesce(sum(extract(epoch FROM r.finished_at - r.started_at)), 0)::float AS seconds
FROM contactsync.sync_runs AS r
WHERE r.started_at >= ((now() AT TIME ZONE 'UTC')::date - (%(days)s::int - 1)) AT TIME ZONE 'UTC'
  AND r.definition_id = %(definition_id)s
GROUP BY 1
ORDER BY 1

-- name: count_states
SELECT o.state, count(*) AS definitions
FROM contactsync.definition_overview AS o
WHERE true
  AND o.folder_id IN (SELECT unnest(%(folder_ids)s::bigint[])) -- if folder_ids
GROUP BY o.state
