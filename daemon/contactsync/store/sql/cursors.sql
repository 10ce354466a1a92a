-- name: cursor
-- The definition's cursor, how old its last full run is in seconds, and whether a person changed one of its contacts.
SELECT kind, value, server, context, extract(epoch FROM now() - full_at)::float8,
       EXISTS (SELECT FROM contactsync.contacts AS c
               WHERE c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s
                 AND octet_length(c.fingerprint) = 8)
FROM contactsync.sync_cursors
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: move_cursor
-- Where it is no more, somebody deleted a contact meanwhile, which only a run that reads everything brings back.
UPDATE contactsync.sync_cursors
SET kind = %(kind)s, value = %(value)s, server = %(server)s, context = %(context)s, moved_at = now()
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: set_cursor
INSERT INTO contactsync.sync_cursors (folder_id, definition_id, kind, value, server, context)
VALUES (%(folder_id)s, %(definition_id)s, %(kind)s, %(value)s, %(server)s, %(context)s)
ON CONFLICT (folder_id, definition_id) DO UPDATE
SET kind = excluded.kind, value = excluded.value, server = excluded.server, context = excluded.context,
    moved_at = now(), full_at = now()

-- name: drop_cursor
DELETE FROM contactsync.sync_cursors WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
