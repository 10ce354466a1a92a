-- name: definition_columns
d.folder_id, d.definition_id, f.name AS folder, f.owner, d.name, d.query, d.bind_user AS "user",
d.password_sealed, d.password_new, d.password_ref, d.base, d.scope, d.filter, d.filter_only, d.mapping, d.schedule,
d.time_zone, d.mode, d.jitter_seconds, d.auth, d.tls, d.tls_verify, d.tls_minimum, d.tls_ca_file, d.tls_ca_pem,
d.tls_client_cert, d.tls_client_key, d.max_delete_count, d.max_delete_share, d.allow_empty, d.deadline_seconds,
d.page_size, d.enabled, d.revision

-- name: definitions
-- The definitions that one of the following conditions selects. One statement for all conditions could not be planned
-- once for all its parameters.
SELECT {columns}
FROM contactsync.sync_definitions AS d
JOIN contactsync.folders AS f USING (folder_id)
WHERE {condition}
ORDER BY d.folder_id, d.definition_id

-- name: lock_definitions
-- Runs go on: they refer to the keys only.
SELECT FROM contactsync.sync_definitions ORDER BY definition_id FOR NO KEY UPDATE

-- name: every_definition
true

-- name: definitions_by_id
d.definition_id = ANY (%(ids)s)

-- name: definitions_by_name
-- Those that a name may mean (operations/names.py has the rules).
%(name)s IN (f.name, f.name || ':' || d.name, f.owner || '/' || f.name, f.owner || '/' || f.name || ':' || d.name)

-- name: versions
-- The revision, and the transaction that wrote it: after a restore a row may have the revision that it had before. One number,
-- because the daemon keeps it for each definition.
SELECT definition_id, revision << 32 | xmin::text::bigint FROM contactsync.sync_definitions ORDER BY definition_id

-- name: last_starts
-- An interrupted run does not count: it is still due.
SELECT definition_id, last_started_at, last_revision FROM contactsync.sync_status
WHERE last_started_at IS NOT NULL AND definition_id = ANY (%(ids)s)
  AND coalesce(last_outcome, '') NOT IN ('interrupted', 'cancelled')

-- name: set_states
-- Writes and returns changed states only. A locked definition that is valid stays locked: only an edit or a run that
-- authenticates unlocks it.
-- Rows that another session has locked are not waited for; they are returned with false.
-- The ids are repeated in each step: PostgreSQL would read the whole tables to join a thousand rows.
WITH checked AS (
    SELECT d.folder_id, d.definition_id, CASE WHEN n.reason IS NULL THEN 'valid' ELSE 'invalid' END AS state, n.reason
    FROM unnest(%(ids)s::bigint[], %(reasons)s::text[]) AS n (definition_id, reason)
    JOIN contactsync.sync_definitions AS d USING (definition_id)
    WHERE d.definition_id = ANY (%(ids)s)
), different AS MATERIALIZED (
    SELECT c.* FROM checked AS c JOIN contactsync.sync_status AS s USING (folder_id, definition_id)
    WHERE s.definition_id = ANY (%(ids)s)
      AND (s.state <> c.state OR s.reason IS DISTINCT FROM c.reason) AND NOT (s.state = 'locked' AND c.state = 'valid')
), free AS MATERIALIZED (
    SELECT f.* FROM contactsync.sync_status AS s
    JOIN different AS f ON f.folder_id = s.folder_id AND f.definition_id = s.definition_id
    WHERE s.definition_id = ANY (%(ids)s)
    FOR UPDATE OF s SKIP LOCKED
), changed AS (
    UPDATE contactsync.sync_status AS s SET state = f.state, reason = f.reason
    FROM free AS f
    WHERE s.folder_id = f.folder_id AND s.definition_id = f.definition_id
    RETURNING s.definition_id
), added AS (
    INSERT INTO contactsync.sync_status (folder_id, definition_id, state, reason)
    SELECT c.* FROM checked AS c
    WHERE NOT EXISTS (SELECT FROM contactsync.sync_status AS s
                      WHERE s.folder_id = c.folder_id AND s.definition_id = c.definition_id)
    ON CONFLICT (folder_id, definition_id) DO NOTHING
    RETURNING definition_id
)
SELECT definition_id, true FROM changed
UNION ALL SELECT definition_id, true FROM added
UNION ALL SELECT definition_id, false FROM different WHERE definition_id NOT IN (SELECT definition_id FROM free)

-- name: locks
SELECT definition_id, reason FROM contactsync.sync_status WHERE state = 'locked' AND definition_id = ANY (%(ids)s)

-- name: set_next_runs
-- Rows that another session has locked are not waited for; their definitions are returned.
WITH different AS MATERIALIZED (
    SELECT s.folder_id, s.definition_id, n.next_run_at
    FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS n (definition_id, next_run_at)
    JOIN contactsync.sync_status AS s USING (definition_id)
    WHERE s.definition_id = ANY (%(ids)s) AND s.next_run_at IS DISTINCT FROM n.next_run_at
), free AS MATERIALIZED (
    SELECT f.* FROM contactsync.sync_status AS s
    JOIN different AS f ON f.folder_id = s.folder_id AND f.definition_id = s.definition_id
    WHERE s.definition_id = ANY (%(ids)s)
    FOR UPDATE OF s SKIP LOCKED
), written AS (
    UPDATE contactsync.sync_status AS s SET next_run_at = f.next_run_at
    FROM free AS f
    WHERE s.folder_id = f.folder_id AND s.definition_id = f.definition_id
)
SELECT definition_id FROM different WHERE definition_id NOT IN (SELECT definition_id FROM free)

-- name: overview
SELECT * FROM contactsync.definition_overview
WHERE true
  AND definition_id = ANY (%(ids)s) -- if ids
ORDER BY owner NULLS FIRST, folder, definition_id

-- name: definition_head
-- The columns of the view that cost no look at the contacts.
SELECT definition_id, folder_id, label, owner, enabled, state, reason, error_code, last_run_id
FROM contactsync.definition_overview
WHERE definition_id = %(id)s

-- name: trust_of_definitions
-- What of certificates is in definitions, each file and text once.
SELECT 'definition.' || u.field AS used_by, u.value, count(*) AS definitions,
       (array_agg(o.label ORDER BY o.label))[1:3] AS labels
FROM contactsync.sync_definitions AS d
JOIN contactsync.definition_overview AS o USING (definition_id)
CROSS JOIN LATERAL (VALUES ('tls_ca_file', d.tls_ca_file), ('tls_ca_pem', d.tls_ca_pem),
                           ('tls_client_cert', d.tls_client_cert)) AS u (field, value)
WHERE u.value IS NOT NULL
GROUP BY u.field, u.value
ORDER BY u.field, u.value

-- name: overview_page
-- The filters are applied to the few columns that they need; contacts are counted for the page only.
SELECT * FROM contactsync.definition_overview
WHERE definition_id = ANY (ARRAY (
    SELECT o.definition_id FROM contactsync.definition_overview AS o
    WHERE o.definition_id > %(after)s
      AND o.definition_id = ANY (%(ids)s) -- if ids
      AND o.folder_id IN (SELECT unnest(%(folder_ids)s::bigint[])) -- if folder_ids
      AND coalesce(o.owner, '') = %(owner)s -- if owner
      AND o.state = %(state)s -- if state
      AND (strpos(lower(o.label), lower(%(text)s)) > 0 -- if text
           OR (strpos(lower(o.query), lower(%(text)s)) > 0 -- if text
               AND coalesce(o.folder_id = ANY (%(query_folders)s::bigint[]), true))) -- if text
    ORDER BY o.definition_id
    LIMIT %(limit)s))
ORDER BY definition_id

-- name: rename_folder
UPDATE contactsync.folders SET name = %(name)s, owner = %(owner)s WHERE folder_id = %(folder_id)s

-- name: find_folder
SELECT folder_id FROM contactsync.folders WHERE name = %(name)s AND owner IS NOT DISTINCT FROM %(owner)s

-- name: add_folders
-- Those that do not exist, in the given order. Returns all.
WITH named AS (
    SELECT name, owner, min(place) AS place
    FROM unnest(%(names)s::text[], %(owners)s::text[]) WITH ORDINALITY AS n (name, owner, place) GROUP BY name, owner
), existing AS (
    SELECT f.folder_id, f.name, f.owner
    FROM named AS n JOIN contactsync.folders AS f ON coalesce(f.owner, '') = coalesce(n.owner, '') AND f.name = n.name
), added AS (
    INSERT INTO contactsync.folders (name, owner)
    SELECT name, owner FROM named AS n
    WHERE NOT EXISTS (SELECT FROM existing AS e WHERE e.name = n.name AND e.owner IS NOT DISTINCT FROM n.owner)
    ORDER BY place
    RETURNING folder_id, name, owner
)
SELECT * FROM existing UNION ALL SELECT * FROM added

-- name: add_definition
INSERT INTO contactsync.sync_definitions (folder_id, {columns}) VALUES (%(folder_id)s, {values}) RETURNING definition_id

-- name: edit_definition
UPDATE contactsync.sync_definitions SET {assignments}
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: accept_password
SELECT contactsync.accept_password(%(definition_id)s, %(revision)s, %(sealed)s)

-- name: keys_of_passwords
-- The ids of the keys that have sealed the stored passwords, with how many each.
SELECT encode(substring(password_sealed FROM 2 FOR 4), 'hex'), count(*)
FROM contactsync.sync_definitions WHERE password_sealed IS NOT NULL
GROUP BY 1

-- name: key_published
SELECT EXISTS (SELECT FROM contactsync.public_key WHERE key_id = %(key_id)s)

-- name: publish_key
WITH others AS (DELETE FROM contactsync.public_key WHERE key_id <> %(key_id)s)
INSERT INTO contactsync.public_key (key_id, public_key, algorithm) VALUES (%(key_id)s, %(public_key)s, %(algorithm)s)
ON CONFLICT (key_id) DO UPDATE SET public_key = excluded.public_key, algorithm = excluded.algorithm

-- name: remove_definition
DELETE FROM contactsync.sync_definitions WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: release_contacts
-- The contacts of a definition become people's own.
UPDATE contactsync.contacts
SET definition_id = NULL, source_key = NULL, source_dn = NULL, fingerprint = NULL
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: remove_empty_folder
-- Only a folder without definitions and contacts.
DELETE FROM contactsync.folders AS f
WHERE f.folder_id = %(folder_id)s
  AND NOT EXISTS (SELECT FROM contactsync.sync_definitions AS d WHERE d.folder_id = f.folder_id)
  AND NOT EXISTS (SELECT FROM contactsync.contacts AS c WHERE c.folder_id = f.folder_id)
