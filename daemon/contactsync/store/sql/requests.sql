-- name: open_requests
-- Definitions with requests that no run has taken yet, oldest request first.
SELECT q.definition_id, array_agg(q.request_id) FROM contactsync.sync_requests AS q
WHERE q.finished_at IS NULL AND q.run_id IS NULL
  AND (q.actor IS NULL OR q.requested_at <= clock_timestamp() - make_interval(secs => %(api_seconds)s))
GROUP BY q.definition_id
ORDER BY min(q.request_id)

-- name: add_requests
-- One ticket for these definitions.
WITH ticket AS MATERIALIZED (SELECT nextval('contactsync.request_ids') AS request_id)
INSERT INTO contactsync.sync_requests (request_id, folder_id, definition_id, actor)
SELECT t.request_id, d.folder_id, d.definition_id, %(actor)s
FROM contactsync.sync_definitions AS d, ticket AS t
WHERE d.definition_id = ANY (%(definition_ids)s)
RETURNING request_id

-- name: withdraw_requests
SELECT contactsync.withdraw_requests(%(definition_id)s, %(reason)s)

-- name: cancel_request
SELECT contactsync.cancel_request(%(request_id)s, %(definition_id)s, %(reason)s)

-- name: ticket
SELECT q.request_id, min(q.requested_at) AS requested_at, min(q.requested_by) AS requested_by, min(q.actor) AS actor,
       count(*) AS definitions, count(*) FILTER (WHERE q.state = 'queued') AS queued,
       count(*) FILTER (WHERE q.state = 'running') AS running, count(*) FILTER (WHERE q.state = 'done') AS done,
       count(*) FILTER (WHERE q.state = 'withdrawn') AS withdrawn
FROM contactsync.sync_requests AS q
WHERE q.request_id = %(request_id)s
GROUP BY q.request_id

-- name: ticket_page
-- The label is null once the definition is removed.
SELECT q.definition_id, contactsync.definition_label(f.name, f.owner, d.name) AS label, q.state, q.run_id, q.outcome,
       q.error_code, q.reason, q.finished_at
FROM contactsync.sync_requests AS q
LEFT JOIN contactsync.sync_definitions AS d USING (folder_id, definition_id)
LEFT JOIN contactsync.folders AS f USING (folder_id)
WHERE q.request_id = %(request_id)s AND q.definition_id > %(after)s
ORDER BY q.definition_id
LIMIT %(limit)s

-- name: forget_requests
DELETE FROM contactsync.sync_requests WHERE finished_at < now() - interval '7 days'
