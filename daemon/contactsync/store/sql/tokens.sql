-- name: add_token
-- No row if a token with this name exists that is not revoked.
INSERT INTO contactsync.tokens (name, digest, rights, everything, folders, owners, created_by, expires_at)
VALUES (%(name)s, %(digest)s, %(rights)s, %(everything)s, %(folders)s, %(owners)s, %(created_by)s, %(expires_at)s)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING token_id

-- name: tokens
-- All tokens, or those that are not revoked and not expired.
SELECT token_id, name, digest, rights, everything, folders, owners, created_at, created_by, last_used_at, expires_at,
       revoked_at, revoked_by, revoked_at IS NULL AND coalesce(expires_at > now(), true) AS valid
FROM contactsync.tokens
WHERE NOT %(valid)s::boolean OR (revoked_at IS NULL AND coalesce(expires_at > now(), true))
ORDER BY token_id

-- name: revoke_token
UPDATE contactsync.tokens SET revoked_at = now(), revoked_by = %(by)s
WHERE name = %(name)s AND revoked_at IS NULL
RETURNING token_id

-- name: note_token_uses
-- A row that another session has locked is not waited for: the next use is noted.
UPDATE contactsync.tokens AS t SET last_used_at = now()
WHERE t.token_id IN (
    SELECT token_id FROM contactsync.tokens WHERE token_id = ANY (%(token_ids)s) FOR UPDATE SKIP LOCKED)

-- name: folders_in_scope
-- The existing folders among those that are given by owner and name, and all folders of some owners.
SELECT f.folder_id FROM contactsync.folders AS f
WHERE f.owner = ANY (%(owners)s::text[])
   OR EXISTS (SELECT FROM unnest(%(folder_owners)s::text[], %(folder_names)s::text[]) AS s (owner, name)
              WHERE s.name = f.name AND s.owner IS NOT DISTINCT FROM f.owner)
ORDER BY f.folder_id

-- name: folders_of_run
SELECT folder_id FROM contactsync.sync_runs WHERE run_id = %(run_id)s

-- name: folders_of_definition
SELECT folder_id FROM contactsync.sync_definitions WHERE definition_id = %(definition_id)s

-- name: folders_of_request
SELECT DISTINCT folder_id FROM contactsync.sync_requests WHERE request_id = %(request_id)s
