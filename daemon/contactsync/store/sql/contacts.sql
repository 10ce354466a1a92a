-- name: stored_contacts
-- The contacts of a definition in one row or more. Each row has 4,096 fingerprints of 16 bytes, in ascending order over all
-- rows, and the contacts' ids of 8 bytes in the same order. The first row also has the contacts that a person edited since
-- the last run, whose fingerprints of 8 bytes equal no entry's digest. Each row has the digest of the mapping that the
-- contacts were made with, and whether contacts have left, which may return.
SELECT substr(k.fingerprints, p.start, 65536), substr(k.ids, p.start / 2 + 1, 32768),
       CASE WHEN p.start = 1 THEN k.edited END, CASE WHEN p.start = 1 THEN k.edited_ids END,
       (SELECT mapping_digest FROM contactsync.sync_status
        WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s),
       EXISTS (SELECT FROM contactsync.departed_contacts
               WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s)
FROM (
    SELECT coalesce(string_agg(fingerprint, '') FILTER (WHERE octet_length(fingerprint) = 16), '') AS fingerprints,
           coalesce(string_agg(int8send(contact_id), '') FILTER (WHERE octet_length(fingerprint) = 16), '') AS ids,
           coalesce(array_agg(fingerprint) FILTER (WHERE octet_length(fingerprint) <> 16), '{}') AS edited,
           coalesce(array_agg(contact_id) FILTER (WHERE octet_length(fingerprint) <> 16), '{}') AS edited_ids
    FROM (SELECT fingerprint, contact_id FROM contactsync.contacts
          WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
          ORDER BY fingerprint) AS sorted
) AS k
CROSS JOIN generate_series(1, greatest(octet_length(k.fingerprints), 1), 65536) AS p (start)

-- name: make_run_tables
CREATE TEMPORARY TABLE IF NOT EXISTS staged (source_key text, source_dn text, fingerprint bytea, photo_digest bytea, extra jsonb DEFAULT '{{}}', {columns});
CREATE TEMPORARY TABLE IF NOT EXISTS unmatched (contact_id bigint, fingerprint bytea);
CREATE TEMPORARY TABLE IF NOT EXISTS named (source_key text);
CREATE TEMPORARY TABLE IF NOT EXISTS reported (source_key text);
CREATE TEMPORARY TABLE IF NOT EXISTS unconfirmed (contact_id bigint, source_key text);
CREATE TEMPORARY TABLE IF NOT EXISTS rejected (source_key text, source_dn text, reason text);
CREATE TEMPORARY TABLE IF NOT EXISTS planned (action text, contact_id bigint, source_key text, display_name text, changes jsonb, returned boolean, edited boolean, matched_by text)

-- name: empty_run_tables
-- TRUNCATE would write other files, which takes forty times as long. Returns the octets of the tables, as the next statement.
WITH a AS (DELETE FROM pg_temp.staged), b AS (DELETE FROM pg_temp.unmatched), c AS (DELETE FROM pg_temp.named),
     d AS (DELETE FROM pg_temp.reported), e AS (DELETE FROM pg_temp.unconfirmed), f AS (DELETE FROM pg_temp.rejected),
     g AS (DELETE FROM pg_temp.planned)
SELECT pg_table_size(to_regclass('pg_temp.staged')) + sum(pg_relation_size(to_regclass('pg_temp.' || name)))
FROM unnest('{unmatched,named,reported,unconfirmed,rejected,planned}'::text[]) AS name

-- name: run_tables_octets
-- With the photos that were staged. Null if the session has no such tables.
SELECT pg_table_size(to_regclass('pg_temp.staged')) + sum(pg_relation_size(to_regclass('pg_temp.' || name)))
FROM unnest('{unmatched,named,reported,unconfirmed,rejected,planned}'::text[]) AS name

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

-- name: small_sample
-- A sample of 3,000 rows is enough for the row counts of the planner; the default is 30,000.
SET LOCAL default_statistics_target = 10

-- name: analyze_run_tables
-- Without statistics the planner takes new temporary tables for small ones and joins them row by row. Only for the join
-- columns: all columns would take a hundred times as long.
ANALYZE pg_temp.staged (source_key), pg_temp.unmatched (contact_id), pg_temp.named (source_key), pg_temp.rejected (source_key)

-- name: repeatable_read
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- name: plan_memory
-- Memory for joins and sorts: with PostgreSQL's default of 4 MB those of 100,000 contacts use the disk. A lower
-- random_page_cost makes the planner use the key index for a few thousand rows, since the pages are in memory.
SELECT set_config('work_mem', '64MB', true), set_config('random_page_cost', '1.1', true)

-- name: definition_unchanged
-- Locks the definition against edits and removal until the run is applied.
SELECT revision FROM contactsync.sync_definitions
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
FOR SHARE

-- name: find_unconfirmed_unmatched
-- Contacts without a matching entry, which is gone or changed; without contacts that were written since they were read.
INSERT INTO pg_temp.unconfirmed (contact_id, source_key)
SELECT c.contact_id, c.source_key
FROM contactsync.contacts AS c
JOIN pg_temp.unmatched AS u ON u.contact_id = c.contact_id AND u.fingerprint = c.fingerprint
WHERE c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s

-- name: find_unconfirmed_reported
-- The same if the directory sends the changed entries and the keys of deleted ones. Finds each contact by its key.
INSERT INTO pg_temp.unconfirmed (contact_id, source_key)
SELECT c.contact_id, c.source_key
FROM (SELECT source_key FROM pg_temp.named UNION SELECT source_key FROM pg_temp.staged) AS k
JOIN contactsync.contacts AS c
  ON c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s AND c.source_key = k.source_key

-- name: find_unconfirmed_not_listed
-- The same if the directory sends the changed entries and the keys of unchanged ones; slapd also names those it sends.
INSERT INTO pg_temp.unconfirmed (contact_id, source_key)
SELECT c.contact_id, c.source_key
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s
  AND (NOT EXISTS (SELECT FROM pg_temp.named AS n WHERE n.source_key = c.source_key)
       OR c.source_key IN (SELECT source_key FROM pg_temp.staged))

-- name: analyze_unconfirmed
ANALYZE pg_temp.unconfirmed

-- name: reject_duplicates
-- Entries with the same key and different DNs are all rejected, since none can be identified as the right one. An entry that
-- came twice, on two pages of a directory that changed meanwhile, is one entry: the later one counts.
WITH repeated AS MATERIALIZED (
    SELECT source_key, count(DISTINCT lower(source_dn)) AS entries
    FROM pg_temp.staged GROUP BY source_key HAVING count(*) > 1
), dropped AS (
    DELETE FROM pg_temp.staged AS s USING pg_temp.staged AS later, repeated AS r
    WHERE r.source_key = s.source_key AND r.entries = 1 AND later.source_key = s.source_key AND later.ctid > s.ctid
)
INSERT INTO pg_temp.rejected (source_key, source_dn, reason)
SELECT s.source_key, s.source_dn, 'another entry has the same identity'
FROM pg_temp.staged AS s JOIN repeated AS r ON r.source_key = s.source_key AND r.entries > 1

-- name: drop_rejected
DELETE FROM pg_temp.staged AS s USING pg_temp.rejected AS r WHERE r.source_key = s.source_key

-- name: plan_staged
-- Joins each staged entry with its contact, in one pass. No contact: an insert, with the old id if the contact has left
-- before. A contact: an update if a field differs, otherwise a refresh of the fingerprint, or nothing. If an entry of another
-- DN has matched the contact, the staged entry is its twin; with `everything` the matching entry is staged, too. Sorted by key:
-- the index over keys then takes new contacts in half of the time and space.
INSERT INTO pg_temp.planned (action, contact_id, source_key, display_name, changes, returned, edited)
SELECT CASE WHEN c.contact_id IS NULL THEN 'insert'
            WHEN l.contact_id IS NULL AND octet_length(c.fingerprint) = 16
                 AND NOT (%(everything)s AND c.fingerprint = s.fingerprint)
                 AND lower(c.source_dn) <> lower(s.source_dn) THEN 'twin'
            WHEN ({compared_before}) IS DISTINCT FROM ({compared_after}) THEN 'update'
            ELSE 'refresh' END,
       coalesce(c.contact_id, d.contact_id, nextval('contactsync.contact_ids')), s.source_key, {label},
       CASE WHEN c.contact_id IS NOT NULL AND ({compared_before}) IS DISTINCT FROM ({compared_after}) THEN {changed} END,
       c.contact_id IS NULL AND d.contact_id IS NOT NULL, octet_length(c.fingerprint) <> 16
FROM pg_temp.staged AS s
LEFT JOIN contactsync.contacts AS c
  ON c.folder_id = %(folder_id)s AND c.definition_id = %(definition_id)s AND c.source_key = s.source_key
LEFT JOIN pg_temp.unconfirmed AS l ON l.contact_id = c.contact_id
LEFT JOIN contactsync.departed_contacts AS d
  ON d.folder_id = %(folder_id)s AND d.definition_id = %(definition_id)s AND d.source_key = s.source_key
WHERE c.contact_id IS NULL OR c.fingerprint <> s.fingerprint OR ({compared_before}) IS DISTINCT FROM ({compared_after})
   OR (l.contact_id IS NULL AND NOT %(everything)s AND lower(c.source_dn) <> lower(s.source_dn))
ORDER BY s.source_key

-- name: reject_twins
WITH twins AS (DELETE FROM pg_temp.planned WHERE action = 'twin' RETURNING source_key)
INSERT INTO pg_temp.rejected (source_key, source_dn, reason)
SELECT s.source_key, s.source_dn, 'another entry has the same identity'
FROM twins JOIN pg_temp.staged AS s USING (source_key)

-- name: plan_deletes
-- Contacts without an entry. The contact of a rejected entry stays: its entry exists.
INSERT INTO pg_temp.planned (action, contact_id, display_name, changes)
SELECT 'delete', c.contact_id, c.display_name,
       (SELECT jsonb_object_agg(f.key, jsonb_build_array(f.value, NULL))
        FROM jsonb_each(to_jsonb(c) - %(internal)s::text[]) AS f
        WHERE f.value NOT IN ('null', '[]', '{}'))
FROM pg_temp.unconfirmed AS l
JOIN contactsync.contacts AS c ON c.folder_id = %(folder_id)s AND c.contact_id = l.contact_id
WHERE NOT EXISTS (SELECT FROM pg_temp.staged AS s WHERE s.source_key = c.source_key)
  AND NOT EXISTS (SELECT FROM pg_temp.rejected AS r WHERE r.source_key = c.source_key)
  AND NOT EXISTS (SELECT FROM pg_temp.rejected AS r WHERE lower(r.source_dn) = lower(c.source_dn))

-- name: unreported
-- Planned changes that the directory did not report as changes since the last incremental run, so that incremental runs have
-- missed them. Some fields may change unreported. `all_listed`: the directory has named the keys of all present entries.
SELECT count(*) OVER (), p.action, p.display_name
FROM pg_temp.planned AS p
LEFT JOIN pg_temp.unconfirmed AS l USING (contact_id)
WHERE p.action <> 'refresh'
  AND NOT (p.action = 'update' AND p.changes - %(unreported_fields)s::text[] = '{}')
  AND coalesce(p.source_key, l.source_key) NOT IN (SELECT source_key FROM pg_temp.reported)
  AND NOT (%(all_listed)s AND p.action = 'delete'
           AND l.source_key NOT IN (SELECT source_key FROM pg_temp.named))
ORDER BY p.display_name, p.contact_id
LIMIT %(limit)s

-- name: count_planned
-- The last number is of updates that may leave a field blank: to look at each field would take ten times as long.
SELECT count(*) FILTER (WHERE action = 'insert'), count(*) FILTER (WHERE action = 'update'),
       count(*) FILTER (WHERE action = 'refresh'), count(*) FILTER (WHERE action = 'delete'),
       (SELECT count(*) FROM pg_temp.rejected), count(*) FILTER (WHERE returned),
       count(*) FILTER (
           WHERE action = 'update' AND NOT edited
             AND (changes ? 'extra' OR changes @? 'strict $.*[1] ? (@ == null || @ == "" || @.size() == 0)'))
FROM pg_temp.planned

-- name: count_contacts
SELECT count(*)
FROM (SELECT FROM contactsync.contacts WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
      LIMIT %(most)s::bigint) AS counted

-- name: cleared_fields
-- The fields that more than `above` updates would leave blank, and in how many contacts. What a person has written into a
-- contact since the last run does not count.
SELECT f, count(*)
FROM pg_temp.planned AS p CROSS JOIN LATERAL contactsync.cleared_fields(p.changes) AS f
WHERE p.action = 'update' AND NOT p.edited
GROUP BY f HAVING count(*) > %(above)s
ORDER BY count(*) DESC, f

-- name: count_filled
SELECT count(*)
FROM (SELECT FROM contactsync.contacts AS c
      WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND NOT ({blank})
      LIMIT %(most)s::bigint) AS counted

-- name: deleted_names
SELECT display_name FROM pg_temp.planned WHERE action = 'delete' ORDER BY display_name LIMIT %(limit)s

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
-- Stores the photos of the written contacts whose digest is new.
INSERT INTO contactsync.contact_photos AS old (folder_id, contact_id, digest, photo)
SELECT c.folder_id, c.contact_id, s.photo_digest, s.photo
FROM pg_temp.planned AS p
JOIN pg_temp.staged AS s USING (source_key)
JOIN contactsync.contacts AS c ON c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id
WHERE p.action IN ('insert', 'update') AND s.photo IS NOT NULL AND c.photo_digest = s.photo_digest
ON CONFLICT (folder_id, contact_id) DO UPDATE SET digest = excluded.digest, photo = excluded.photo
WHERE old.digest <> excluded.digest OR old.photo <> excluded.photo

-- name: drop_photos
DELETE FROM contactsync.contact_photos AS old USING pg_temp.planned AS p, contactsync.contacts AS c
WHERE p.action = 'update' AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id
  AND old.folder_id = c.folder_id AND old.contact_id = c.contact_id AND c.photo_digest IS NULL

-- name: record_changes
INSERT INTO contactsync.contact_changes (folder_id, run_id, contact_id, action, display_name, changes, matched_by)
SELECT %(folder_id)s, %(run_id)s, contact_id, action, display_name, changes, matched_by
FROM pg_temp.planned WHERE action <> 'refresh'

-- name: record_rejected
INSERT INTO contactsync.rejected_entries (folder_id, run_id, dn, source_key, reason)
SELECT %(folder_id)s, %(run_id)s, source_dn, source_key, reason FROM pg_temp.rejected LIMIT %(limit)s

-- name: rejected_sample
SELECT source_dn, reason FROM pg_temp.rejected ORDER BY source_dn LIMIT %(limit)s

-- name: source_digest
SELECT source_digest FROM contactsync.sync_status WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s

-- name: begin_first_load
-- The timeout frees the locks of a daemon that was stopped in the middle of the load.
BEGIN;
SET LOCAL contactsync.applying = 'on';
SET LOCAL idle_in_transaction_session_timeout = '60s'

-- name: apply_batch
-- One statement string, since the sending thread waits for Python's other threads after each. Sorted by key, which makes
-- the index over keys a little faster.
WITH inserted AS (
    INSERT INTO contactsync.contacts
        (folder_id, contact_id, definition_id, source_key, source_dn, fingerprint, {columns})
    SELECT {folder_id}, nextval('contactsync.contact_ids'), {definition_id}, s.source_key, s.source_dn, s.fingerprint, {staged}
    FROM (SELECT * FROM pg_temp.staged ORDER BY source_key) AS s
    RETURNING contact_id, source_key, {display_name} AS display_name
){photos}
INSERT INTO contactsync.contact_changes (folder_id, run_id, contact_id, action, display_name)
SELECT {folder_id}, {run_id}, contact_id, 'insert', display_name FROM inserted;
{emptied}

-- name: empty_staged
TRUNCATE pg_temp.staged

-- name: empty_few_staged
DELETE FROM pg_temp.staged

-- name: batch_photos
, pictures AS (
    INSERT INTO contactsync.contact_photos (folder_id, contact_id, digest, photo)
    SELECT {folder_id}, i.contact_id, s.photo_digest, s.photo
    FROM inserted AS i JOIN pg_temp.staged AS s USING (source_key)
    WHERE s.photo IS NOT NULL
)
