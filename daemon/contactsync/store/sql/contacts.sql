-- name: stored_contacts
-- What is known of a definition's contacts: all fingerprints of 16 bytes, in rising order, as values of 4,096 each, at
-- least one, and the contacts' ids in the same order, of 8 bytes; beside the first of them the fingerprints, of 8 bytes,
-- which no entry's digest can equal, and the ids of contacts that a person edited since the last run; and the mapping that
-- they are in step with, and whether there were others, which may come back. Sorted once for all of it.
SELECT substr(k.fingerprints, p.start, 65536), substr(k.ids, p.start / 2 + 1, 32768),
       CASE WHEN p.start = 1 THEN k.touched END, CASE WHEN p.start = 1 THEN k.touched_ids END,
       (SELECT mapping_digest FROM contactsync.sync_status
        WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s),
       EXISTS (SELECT FROM contactsync.departed_contacts
               WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s)
FROM (
    SELECT coalesce(string_agg(fingerprint, '') FILTER (WHERE octet_length(fingerprint) = 16), '') AS fingerprints,
           coalesce(string_agg(int8send(contact_id), '') FILTER (WHERE octet_length(fingerprint) = 16), '') AS ids,
           coalesce(array_agg(fingerprint) FILTER (WHERE octet_length(fingerprint) <> 16), '{}') AS touched,
           coalesce(array_agg(contact_id) FILTER (WHERE octet_length(fingerprint) <> 16), '{}') AS touched_ids
    FROM (SELECT fingerprint, contact_id FROM contactsync.contacts
          WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
          ORDER BY fingerprint) AS sorted
) AS k
CROSS JOIN generate_series(1, greatest(octet_length(k.fingerprints), 1), 65536) AS p (start)

-- name: create_staging
CREATE TEMPORARY TABLE staged (source_key text, source_dn text, fingerprint bytea, {columns})

-- name: create_plan_tables
CREATE TEMPORARY TABLE unmatched (contact_id bigint, fingerprint bytea);
CREATE TEMPORARY TABLE named (source_key text);
CREATE TEMPORARY TABLE reported (source_key text);
CREATE TEMPORARY TABLE lost (contact_id bigint, source_key text);
CREATE TEMPORARY TABLE rejected (source_key text, source_dn text, reason text);
CREATE TEMPORARY TABLE planned (action text, contact_id bigint, source_key text, display_name text, changes jsonb, returned boolean);

-- name: drop_run_tables
DROP TABLE IF EXISTS pg_temp.staged, pg_temp.unmatched, pg_temp.named, pg_temp.reported, pg_temp.lost, pg_temp.rejected, pg_temp.planned

-- name: copy_staged
COPY pg_temp.staged ({columns}) FROM STDIN

-- name: copy_unmatched
COPY pg_temp.unmatched (contact_id, fingerprint) FROM STDIN

-- name: copy_named
COPY pg_temp.named (source_key) FROM STDIN

-- name: copy_reported
COPY pg_temp.reported (source_key) FROM STDIN

-- name: copy_rejected
COPY pg_temp.rejected (source_key, source_dn, reason) FROM STDIN

-- name: few_statistics
-- To know how many rows there are, a sample of 3,000 is as good as one of 30,000.
SET LOCAL default_statistics_target = 10

-- name: analyze_run_tables
-- Without it the planner takes fresh temporary tables for small ones and joins them row by row. Only what is joined by
-- is looked at: the other columns would take a hundred times as long.
ANALYZE pg_temp.staged (source_key), pg_temp.unmatched (contact_id), pg_temp.named (source_key), pg_temp.rejected (source_key)

-- name: unmoving
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- name: plan_memory
-- For the joins and sorts of one plan; with PostgreSQL's 4 MB those of 100,000 contacts go to the disk. And a thousand
-- contacts are to be found by their keys in place of a look at all: what was just read is in memory.
SET LOCAL work_mem = '64MB';
SET LOCAL random_page_cost = 1.1

-- name: definition_unchanged
-- Keeps the definition as it was read from being edited or removed until the run is applied.
SELECT revision FROM contactsync.sync_definitions
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
FOR SHARE

-- name: find_lost_unmatched
-- The contacts that no entry was recognised as: gone or changed; but for those that somebody wrote since.
INSERT INTO pg_temp.lost (contact_id, source_key)
SELECT c.contact_id, c.source_key
FROM contactsync.contacts AS c
JOIN pg_temp.unmatched AS u ON u.contact_id = c.contact_id AND u.fingerprint = c.fingerprint
WHERE c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s

-- name: find_lost_reported
-- The same where the directory sent what changed and named what is gone. Finds each by its key, however many others
-- there are.
INSERT INTO pg_temp.lost (contact_id, source_key)
SELECT c.contact_id, c.source_key
FROM (SELECT source_key FROM pg_temp.named UNION SELECT source_key FROM pg_temp.staged) AS k
JOIN contactsync.contacts AS c
  ON c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s AND c.source_key = k.source_key

-- name: find_lost_not_listed
-- The same where the directory sent what changed and named what did not; slapd names what it sends as well.
INSERT INTO pg_temp.lost (contact_id, source_key)
SELECT c.contact_id, c.source_key
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s
  AND (NOT EXISTS (SELECT FROM pg_temp.named AS n WHERE n.source_key = c.source_key)
       OR c.source_key IN (SELECT source_key FROM pg_temp.staged))

-- name: analyze_lost
ANALYZE pg_temp.lost

-- name: reject_duplicates
-- Two entries with one key: neither can be told to be the right one.
INSERT INTO pg_temp.rejected (source_key, source_dn, reason)
SELECT s.source_key, s.source_dn, 'another entry has the same identity'
FROM pg_temp.staged AS s
WHERE s.source_key IN (SELECT source_key FROM pg_temp.staged GROUP BY source_key HAVING count(*) > 1)

-- name: drop_rejected
DELETE FROM pg_temp.staged AS s USING pg_temp.rejected AS r WHERE r.source_key = s.source_key

-- name: plan_staged
-- Every staged entry beside its contact, once. Without one: an insert, under the old id where the contact was here before.
-- With one: an update where a field differs, else only a fresh fingerprint, else nothing. Whose contact was recognised by
-- another entry is its twin; when everything is mapped anew, the one that it was recognised by is staged too. In the order
-- of the keys, in which the index over them takes new contacts in a half of the time and of the space.
INSERT INTO pg_temp.planned (action, contact_id, source_key, display_name, changes, returned)
SELECT CASE WHEN c.contact_id IS NULL THEN 'insert'
            WHEN l.contact_id IS NULL AND octet_length(c.fingerprint) = 16
                 AND NOT (%(everything)s AND c.fingerprint = s.fingerprint) THEN 'twin'
            WHEN ({before}) IS DISTINCT FROM ({after}) THEN 'update'
            ELSE 'refresh' END,
       coalesce(c.contact_id, d.contact_id, nextval('contactsync.contact_ids')), s.source_key, {display_name},
       CASE WHEN c.contact_id IS NOT NULL AND ({before}) IS DISTINCT FROM ({after}) THEN {changed} END,
       c.contact_id IS NULL AND d.contact_id IS NOT NULL
FROM pg_temp.staged AS s
LEFT JOIN contactsync.contacts AS c
  ON c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s AND c.source_key = s.source_key
LEFT JOIN pg_temp.lost AS l ON l.contact_id = c.contact_id
LEFT JOIN contactsync.departed_contacts AS d
  ON d.folder_id = %(folder_id)s AND d.definition_id = %(definition_id)s AND d.source_key = s.source_key
WHERE c.contact_id IS NULL OR c.fingerprint <> s.fingerprint OR ({before}) IS DISTINCT FROM ({after})
   OR (l.contact_id IS NULL AND NOT %(everything)s)
ORDER BY s.source_key

-- name: reject_twins
WITH twins AS (DELETE FROM pg_temp.planned WHERE action = 'twin' RETURNING source_key)
INSERT INTO pg_temp.rejected (source_key, source_dn, reason)
SELECT s.source_key, s.source_dn, 'another entry has the same identity'
FROM twins JOIN pg_temp.staged AS s USING (source_key)

-- name: plan_gone
-- Contacts whose entry did not come. What a rejected entry stands for stays: it is there, it is only unreadable.
INSERT INTO pg_temp.planned (action, contact_id, display_name, changes)
SELECT 'delete', c.contact_id, c.display_name,
       (SELECT jsonb_object_agg(f.key, jsonb_build_array(f.value, NULL))
        FROM jsonb_each(to_jsonb(c) - %(internal)s::text[]) AS f
        WHERE f.value NOT IN ('null', '[]', '{}'))
FROM pg_temp.lost AS l
JOIN contactsync.contacts AS c ON c.folder_id = %(folder_id)s AND c.contact_id = l.contact_id
WHERE NOT EXISTS (SELECT FROM pg_temp.staged AS s WHERE s.source_key = c.source_key)
  AND NOT EXISTS (SELECT FROM pg_temp.rejected AS r WHERE r.source_key = c.source_key)
  AND NOT EXISTS (SELECT FROM pg_temp.rejected AS r WHERE r.source_dn = c.source_dn)

-- name: untold
-- What is planned although the directory, asked for what changed since the last increment, tells nothing of it: the
-- increments have missed it. Fields that may change in silence are let be. `all_listed` says that every key was named that is still there.
SELECT count(*) OVER (), p.action, p.display_name
FROM pg_temp.planned AS p
LEFT JOIN pg_temp.lost AS l USING (contact_id)
WHERE p.action <> 'refresh'
  AND NOT (p.action = 'update' AND p.changes - %(silent)s::text[] = '{}')
  AND coalesce(p.source_key, l.source_key) NOT IN (SELECT source_key FROM pg_temp.reported)
  AND NOT (%(all_listed)s AND p.action = 'delete'
           AND l.source_key NOT IN (SELECT source_key FROM pg_temp.named))
ORDER BY p.display_name, p.contact_id
LIMIT %(limit)s

-- name: count_planned
SELECT count(*) FILTER (WHERE action = 'insert'), count(*) FILTER (WHERE action = 'update'),
       count(*) FILTER (WHERE action = 'refresh'), count(*) FILTER (WHERE action = 'delete'),
       (SELECT count(*) FROM pg_temp.rejected), count(*) FILTER (WHERE returned)
FROM pg_temp.planned

-- name: count_contacts
SELECT count(*)
FROM (SELECT FROM contactsync.contacts WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
      LIMIT %(most)s::bigint) AS counted

-- name: planned_names
SELECT display_name FROM pg_temp.planned WHERE action = %(action)s ORDER BY display_name LIMIT %(limit)s

-- name: apply_setting
SET LOCAL contactsync.applying = 'on'

-- name: apply_deletes
DELETE FROM contactsync.contacts AS c USING pg_temp.planned AS p
WHERE p.action = 'delete' AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id

-- name: apply_refreshes
UPDATE contactsync.contacts AS c SET fingerprint = s.fingerprint
FROM pg_temp.planned AS p JOIN pg_temp.staged AS s USING (source_key)
WHERE p.action = 'refresh' AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id

-- name: apply_updates
UPDATE contactsync.contacts AS c
SET ({columns}) = ROW ({after}), source_dn = s.source_dn, fingerprint = s.fingerprint, updated_at = now()
FROM pg_temp.planned AS p JOIN pg_temp.staged AS s USING (source_key)
WHERE p.action = 'update' AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id

-- name: apply_inserts
INSERT INTO contactsync.contacts
    (folder_id, contact_id, definition_id, source_key, source_dn, fingerprint, {columns})
SELECT %(folder_id)s, p.contact_id, %(definition_id)s, s.source_key, s.source_dn, s.fingerprint, {staged}
FROM pg_temp.planned AS p JOIN pg_temp.staged AS s USING (source_key)
WHERE p.action = 'insert'

-- name: forget_returned
DELETE FROM contactsync.departed_contacts AS d USING pg_temp.planned AS p
WHERE p.action = 'insert' AND d.folder_id = %(folder_id)s AND d.definition_id = %(definition_id)s
  AND d.source_key = p.source_key

-- name: apply_photos
-- The digest in contacts says what the photo is to be; this makes it so for the contacts that were written.
INSERT INTO contactsync.contact_photos AS old (folder_id, contact_id, digest, photo)
SELECT c.folder_id, c.contact_id, s.photo_digest, s.photo
FROM pg_temp.planned AS p
JOIN pg_temp.staged AS s USING (source_key)
JOIN contactsync.contacts AS c ON c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id
WHERE p.action IN ('insert', 'update') AND s.photo IS NOT NULL AND c.photo_digest = s.photo_digest
ON CONFLICT (folder_id, contact_id) DO UPDATE SET digest = excluded.digest, photo = excluded.photo
WHERE old.digest <> excluded.digest

-- name: drop_photos
DELETE FROM contactsync.contact_photos AS old USING pg_temp.planned AS p, contactsync.contacts AS c
WHERE p.action = 'update' AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id
  AND old.folder_id = c.folder_id AND old.contact_id = c.contact_id AND c.photo_digest IS NULL

-- name: record_changes
INSERT INTO contactsync.contact_changes (folder_id, run_id, contact_id, action, display_name, changes)
SELECT %(folder_id)s, %(run_id)s, contact_id, action, display_name, changes
FROM pg_temp.planned WHERE action <> 'refresh'

-- name: record_rejected
INSERT INTO contactsync.rejected_entries (folder_id, run_id, dn, source_key, reason)
SELECT %(folder_id)s, %(run_id)s, source_dn, source_key, reason FROM pg_temp.rejected LIMIT %(limit)s

-- name: rejected_sample
SELECT source_dn, reason FROM pg_temp.rejected ORDER BY source_dn LIMIT %(limit)s

-- name: source_digest
SELECT source_digest FROM contactsync.sync_status WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: begin_first_load
-- Nobody shall wait for a daemon that was stopped in the middle of it.
BEGIN;
SET LOCAL contactsync.applying = 'on';
SET LOCAL idle_in_transaction_session_timeout = '60s'

-- name: apply_lot
-- In one, since the thread that sends this waits for Python's other threads after each statement. In the order of the
-- keys, which the index over them takes a little faster.
WITH inserted AS (
    INSERT INTO contactsync.contacts
        (folder_id, contact_id, definition_id, source_key, source_dn, fingerprint, {columns})
    SELECT {folder_id}, nextval('contactsync.contact_ids'), {definition_id}, s.source_key, s.source_dn, s.fingerprint, {staged}
    FROM (SELECT * FROM pg_temp.staged ORDER BY source_key) AS s
    RETURNING contact_id, source_key, {display_name} AS display_name
){photos}
INSERT INTO contactsync.contact_changes (folder_id, run_id, contact_id, action, display_name)
SELECT {folder_id}, {run_id}, contact_id, 'insert', display_name FROM inserted;
TRUNCATE pg_temp.staged

-- name: lot_photos
, pictures AS (
    INSERT INTO contactsync.contact_photos (folder_id, contact_id, digest, photo)
    SELECT {folder_id}, i.contact_id, s.photo_digest, s.photo
    FROM inserted AS i JOIN pg_temp.staged AS s USING (source_key)
    WHERE s.photo IS NOT NULL
)
