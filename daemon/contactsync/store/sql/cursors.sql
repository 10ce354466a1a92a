-- name: cursor
-- The definition's cursor, the age of its last full run in seconds, and whether a person changed one of its contacts.
SELECT kind, value, server, context, extract(epoch FROM now() - full_at)::float8,
       EXISTS (SELECT FROM contactsync.contacts AS c
               WHERE c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s
                 AND octet_length(c.fingerprint) = 8)
FROM contactsync.sync_cursors
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND kind IS NOT NULL

-- name: move_cursor
-- Without a cursor, a contact was deleted in PostgreSQL meanwhile. Only a full run adds it again.
UPDATE contactsync.sync_cursors
SET kind = %(kind)s, value = %(value)s, server = %(server)s, context = %(context)s, moved_at = now()
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND kind IS NOT NULL

-- name: make_room_for_cursor
INSERT INTO contactsync.sync_cursors (folder_id, definition_id) VALUES (%(folder_id)s, %(definition_id)s)
ON CONFLICT DO NOTHING

-- name: begin_cursor
-- SKIP LOCKED: a session that holds the row is deleting contacts, which this run may still see.
UPDATE contactsync.sync_cursors AS c SET reading = %(run_id)s
FROM (SELECT folder_id, definition_id FROM contactsync.sync_cursors
      WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
      FOR UPDATE SKIP LOCKED) AS free
WHERE c.folder_id = free.folder_id AND c.definition_id = free.definition_id

-- name: set_cursor
-- If `reading` is not this run, a contact was deleted since the run began, and the run may have matched its entry.
UPDATE contactsync.sync_cursors
SET kind = %(kind)s, value = %(value)s, server = %(server)s, context = %(context)s, reading = NULL,
    moved_at = now(), full_at = now()
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND reading = %(run_id)s

-- name: drop_cursor
UPDATE contactsync.sync_cursors
SET kind = NULL, value = NULL, server = NULL, context = NULL, reading = NULL
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: owners
SELECT DISTINCT c.definition_id
FROM contactsync.sync_definitions AS d
JOIN contactsync.contacts AS c ON c.folder_id = d.folder_id AND c.definition_id = d.definition_id
WHERE d.definition_id = ANY (%(definition_ids)s) AND c.source_key = ANY (%(keys)s)
