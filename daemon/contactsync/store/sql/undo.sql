-- name: undo_memory
-- The planner has no statistics of what a large run has just written, and would join it row by row in quadratic time.
SELECT set_config('enable_nestloop', 'off', true)
FROM (SELECT FROM contactsync.contact_changes WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s LIMIT 500) AS changes
HAVING count(*) = 500

-- name: undo_conflicts
-- Contacts that a later run or a person has changed since the run. A later run that was undone does not count, nor does
-- its undo.
WITH cancelled AS (
    SELECT pair.run_id, u.started_at AS undone_at
    FROM contactsync.sync_runs AS u
    CROSS JOIN LATERAL (VALUES (u.run_id), (u.undoes)) AS pair (run_id)
    WHERE u.folder_id = %(folder_id)s AND u.undoes > %(run_id)s
      AND contactsync.undone_by(u.folder_id, u.run_id) IS NULL
), done AS (
    SELECT * FROM contactsync.contact_changes WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s
), later AS (
    SELECT d.contact_id, max(l.run_id) AS run_id
    FROM done AS d
    JOIN contactsync.contact_changes AS l
      ON l.folder_id = d.folder_id AND l.contact_id = d.contact_id AND l.run_id > d.run_id
    WHERE l.run_id NOT IN (SELECT run_id FROM cancelled)
      AND (d.action <> 'update' OR l.action <> 'update'
           OR d.changes ?| ARRAY(SELECT jsonb_object_keys(l.changes)))
    GROUP BY d.contact_id
), judged AS (
    SELECT d.contact_id, coalesce(c.display_name, d.display_name) AS display_name, l.run_id, e.fields,
           CASE WHEN l.run_id IS NOT NULL THEN 'later run'
                WHEN d.action = 'delete' AND (c.contact_id IS NOT NULL OR twin.contact_id IS NOT NULL) THEN 'returned'
                WHEN d.action = 'delete' AND k.source_key IS NULL THEN 'forgotten'
                WHEN d.action <> 'delete' AND c.contact_id IS NULL THEN 'gone'
                WHEN d.action = 'update' AND twin.contact_id IS NOT NULL THEN 'returned'
                WHEN d.action = 'insert' AND c.updated_at <> c.created_at
                     AND c.updated_at NOT IN (SELECT undone_at FROM cancelled) THEN 'person'
                WHEN d.action = 'update' AND e.fields IS NOT NULL THEN 'person' END AS reason
    FROM done AS d
    LEFT JOIN later AS l ON l.contact_id = d.contact_id
    LEFT JOIN contactsync.contacts AS c ON c.folder_id = d.folder_id AND c.contact_id = d.contact_id
    LEFT JOIN contactsync.departed_contacts AS k
      ON k.folder_id = d.folder_id AND k.definition_id = %(definition_id)s AND k.contact_id = d.contact_id
     AND d.action = 'delete'
    LEFT JOIN contactsync.contacts AS twin
      ON twin.folder_id = d.folder_id AND twin.definition_id = %(definition_id)s
     AND twin.source_key = coalesce(k.source_key, d.changes #>> '{source_key,0}')
    CROSS JOIN LATERAL (
        SELECT array_agg(f.key ORDER BY f.key) AS fields
        FROM jsonb_each(CASE WHEN d.action = 'update' THEN d.changes END) AS f
        WHERE to_jsonb(c) -> f.key IS DISTINCT FROM f.value -> 1) AS e
)
SELECT contact_id, display_name, reason, run_id, fields, count(*) OVER () AS total
FROM judged WHERE reason IS NOT NULL
ORDER BY display_name, contact_id
LIMIT %(limit)s

-- name: plan_undo
-- The opposite of each change. A photo that the run replaced or removed is omitted: its octets are not stored.
INSERT INTO pg_temp.planned (action, contact_id, source_key, display_name, changes)
SELECT CASE d.action WHEN 'insert' THEN 'delete' WHEN 'delete' THEN 'insert' ELSE 'update' END,
       d.contact_id, k.source_key,
       CASE d.action WHEN 'update' THEN coalesce(d.changes #>> '{display_name,0}', c.display_name)
                     WHEN 'insert' THEN c.display_name ELSE d.display_name END,
       CASE d.action WHEN 'update' THEN u.changes WHEN 'insert' THEN r.changes END
FROM contactsync.contact_changes AS d
LEFT JOIN contactsync.contacts AS c ON c.folder_id = d.folder_id AND c.contact_id = d.contact_id
LEFT JOIN contactsync.departed_contacts AS k
  ON k.folder_id = d.folder_id AND k.definition_id = %(definition_id)s AND k.contact_id = d.contact_id
 AND d.action = 'delete'
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(f.key, jsonb_build_array(f.value -> 1, f.value -> 0)) AS changes
    FROM jsonb_each(CASE WHEN d.action = 'update' THEN d.changes END) AS f
    WHERE f.key <> 'photo_digest' OR f.value ->> 0 IS NULL) AS u
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(f.key, jsonb_build_array(f.value, NULL)) AS changes
    FROM jsonb_each(CASE WHEN d.action = 'insert' THEN to_jsonb(c) - %(internal)s::text[] END) AS f
    WHERE f.value NOT IN ('null', '[]', '{}')) AS r
WHERE d.folder_id = %(folder_id)s AND d.run_id = %(run_id)s AND (d.action <> 'update' OR u.changes IS NOT NULL)

-- name: count_undo
SELECT count(*) FILTER (WHERE action = 'insert'), count(*) FILTER (WHERE action = 'update'),
       count(*) FILTER (WHERE action = 'delete')
FROM pg_temp.planned

-- name: count_lost_photos
SELECT count(*) FROM contactsync.contact_changes
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND changes #>> '{photo_digest,0}' IS NOT NULL

-- name: undo_updates
-- The fingerprint has 8 bytes, as after an edit by a person, so that the next run compares all fields.
UPDATE contactsync.contacts AS c
SET ({columns}) = (
        SELECT {values} FROM jsonb_populate_record(
            c, (SELECT jsonb_object_agg(f.key, f.value -> 1) FROM jsonb_each(p.changes) AS f)) AS r),
    source_key = coalesce(p.changes -> 'source_key' ->> 1, c.source_key),
    fingerprint = int8send(c.contact_id), updated_at = now()
FROM pg_temp.planned AS p
WHERE p.action = 'update' AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id

-- name: undo_deletes
-- Restored with the old id, without the photo.
INSERT INTO contactsync.contacts (folder_id, contact_id, definition_id, source_key, fingerprint, {columns})
SELECT %(folder_id)s, p.contact_id, %(definition_id)s, p.source_key, int8send(p.contact_id), {values}
FROM pg_temp.planned AS p
JOIN contactsync.contact_changes AS d
  ON d.folder_id = %(folder_id)s AND d.run_id = %(run_id)s AND d.contact_id = p.contact_id
CROSS JOIN LATERAL jsonb_populate_record(
    NULL::contactsync.contacts,
    (SELECT jsonb_object_agg(f.key, f.value -> 0) FROM jsonb_each(d.changes) AS f WHERE f.key <> 'photo_digest')) AS r
WHERE p.action = 'insert'

-- name: record_undo
INSERT INTO contactsync.sync_runs
    (folder_id, definition_id, definition, trigger, mode, outcome, finished_at, inserted, updated, deleted, undoes)
VALUES (%(folder_id)s, %(definition_id)s, %(definition)s, 'undo', 'undo', 'changed', clock_timestamp(),
        %(inserted)s, %(updated)s, %(deleted)s, %(run_id)s)
RETURNING run_id, started_at, finished_at
