-- name: open_requests
-- What was asked for by request_sync and did not start since.
SELECT s.definition_id
FROM contactsync.sync_status AS s
JOIN contactsync.sync_definitions AS d ON d.folder_id = s.folder_id AND d.definition_id = s.definition_id
WHERE d.enabled AND s.requested_at > coalesce(s.last_started_at, '-infinity')
ORDER BY s.requested_at

-- name: request_run
SELECT contactsync.request_sync(%(folder)s, %(owner)s)
