-- name: create_left_over
CREATE TEMPORARY TABLE left_over (
    contact_id bigint, source_key text, dn text, employee_number text, emails text[], display_name text
) ON COMMIT DROP;
CREATE TEMPORARY TABLE match_keys (contact_id bigint, source_key text, kind text, value text) ON COMMIT DROP;
CREATE TEMPORARY TABLE recognised (contact_id bigint, source_key text, matched_by text) ON COMMIT DROP

-- name: find_left_over
-- Contacts to delete (with contact_id) and entries to insert (with source_key). An entry that returns has its contact.
INSERT INTO pg_temp.left_over (contact_id, dn, employee_number, emails, display_name, source_key)
SELECT c.contact_id, c.source_dn, lower(nullif(c.employee_number, '')), lower(c.emails::text)::text[],
       lower(nullif(c.display_name, '')), NULL
FROM pg_temp.planned AS p
JOIN contactsync.contacts AS c ON c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id
WHERE p.action = 'delete'
UNION ALL
SELECT NULL, s.source_dn, lower(nullif({employee_number}, '')), lower({emails}::text)::text[],
       lower(nullif({display_name}, '')), s.source_key
FROM pg_temp.planned AS p JOIN pg_temp.staged AS s USING (source_key)
WHERE p.action = 'insert' AND NOT p.returned

-- name: left_over_dns
SELECT contact_id, source_key, dn FROM pg_temp.left_over WHERE dn IS NOT NULL

-- name: copy_match_keys
COPY pg_temp.match_keys (contact_id, source_key, kind, value) FROM STDIN

-- name: find_match_keys
INSERT INTO pg_temp.match_keys (contact_id, source_key, kind, value)
SELECT contact_id, source_key, 'employee_number', employee_number FROM pg_temp.left_over WHERE employee_number IS NOT NULL
UNION ALL
SELECT DISTINCT contact_id, source_key, 'mail', e FROM pg_temp.left_over, unnest(emails) AS e WHERE e <> ''

-- name: analyze_left_over
-- Without statistics the planner may join the tables row by row.
ANALYZE pg_temp.left_over, pg_temp.match_keys

-- name: no_nested_loops
-- The planner expects few groups with one row on each side, and would join them row by row in quadratic time.
SET LOCAL enable_nestloop = off

-- name: nested_loops
SET LOCAL enable_nestloop = on

-- name: recognise
-- Pairs of one contact and one entry with a key that no other contact and no other entry has. Employee numbers of a pair
-- may not differ. A DN or an address may belong to another person now: with the same DN the name or an address has to be
-- the same if both have one; with the same address the name has to be the same.
INSERT INTO pg_temp.recognised (contact_id, source_key, matched_by)
WITH pairs AS (
    SELECT DISTINCT contact_id, source_key
    FROM (SELECT max(contact_id) AS contact_id, max(source_key) AS source_key
          FROM pg_temp.match_keys WHERE kind = %(kind)s
          GROUP BY value HAVING count(contact_id) = 1 AND count(source_key) = 1) AS single
), counted AS (
    SELECT contact_id, source_key, count(*) OVER (PARTITION BY contact_id) AS entries,
           count(*) OVER (PARTITION BY source_key) AS contacts
    FROM pairs
)
SELECT k.contact_id, k.source_key, %(kind)s
FROM counted AS k
JOIN pg_temp.left_over AS c ON c.contact_id = k.contact_id
JOIN pg_temp.left_over AS s ON s.source_key = k.source_key
WHERE k.entries = 1 AND k.contacts = 1
  AND NOT EXISTS (SELECT FROM pg_temp.recognised AS r WHERE r.contact_id = k.contact_id)
  AND NOT EXISTS (SELECT FROM pg_temp.recognised AS r WHERE r.source_key = k.source_key)
  AND coalesce(c.employee_number = s.employee_number, true)
  AND CASE %(kind)s
          WHEN 'dn' THEN c.employee_number = s.employee_number OR c.display_name = s.display_name OR c.emails && s.emails
              OR (num_nulls(c.display_name, s.display_name) > 0 AND '{}' IN (c.emails, s.emails))
          WHEN 'mail' THEN c.display_name = s.display_name
          ELSE true END

-- name: drop_recognised_inserts
DELETE FROM pg_temp.planned AS p USING pg_temp.recognised AS r WHERE p.action = 'insert' AND p.source_key = r.source_key

-- name: drop_recognised_deletes
DELETE FROM pg_temp.planned AS p USING pg_temp.recognised AS r WHERE p.action = 'delete' AND p.contact_id = r.contact_id

-- name: plan_recognised
-- The insert and the delete of each pair become an update.
INSERT INTO pg_temp.planned (action, contact_id, source_key, display_name, changes, returned, edited, matched_by)
SELECT 'update', r.contact_id, r.source_key, {label},
       {changed} || jsonb_build_object('source_key', jsonb_build_array(c.source_key, s.source_key)), false,
       octet_length(c.fingerprint) <> 16, r.matched_by
FROM pg_temp.recognised AS r
JOIN pg_temp.staged AS s USING (source_key)
JOIN contactsync.contacts AS c ON c.folder_id = %(folder_id)s AND c.contact_id = r.contact_id

-- name: count_recognised
SELECT matched_by, count(*) FROM pg_temp.recognised GROUP BY matched_by ORDER BY matched_by

-- name: apply_rekeys
UPDATE contactsync.contacts AS c SET source_key = p.source_key
FROM pg_temp.planned AS p
WHERE p.matched_by IS NOT NULL AND c.folder_id = %(folder_id)s AND c.contact_id = p.contact_id
