-- name: planned_changes
-- The plan for users, deletions first; an insert with all its values.
SELECT p.contact_id, p.action, p.display_name, coalesce(p.changes, contactsync.filled_fields({staged_object}), '{{}}') AS fields,
       p.matched_by
FROM pg_temp.planned AS p
LEFT JOIN pg_temp.staged AS s ON p.action = 'insert' AND s.source_key = p.source_key
WHERE p.action <> 'refresh'
ORDER BY p.action, p.display_name, p.contact_id
LIMIT %(limit)s

-- name: overtake_plans
-- Plans without a decision are out of date. Their digest stays, to show whether the next plan deletes the same contacts.
WITH overtaken AS (
    UPDATE contactsync.held_plans SET decision = 'overtaken', settled_by = %(run_id)s
    WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND decision IS NULL
    RETURNING folder_id, run_id
)
DELETE FROM contactsync.held_changes AS c USING overtaken AS o WHERE c.folder_id = o.folder_id AND c.run_id = o.run_id

-- name: settle_plans
-- The same for a run that was not held; an approved plan is used.
WITH settled AS (
    UPDATE contactsync.held_plans
    SET decision = CASE WHEN decision IS NULL THEN 'overtaken' ELSE 'used' END, settled_by = %(run_id)s
    WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s
      AND (decision IS NULL OR decision = 'approved')
    RETURNING folder_id, run_id, decision
)
DELETE FROM contactsync.held_changes AS c USING settled AS s
WHERE s.decision = 'overtaken' AND c.folder_id = s.folder_id AND c.run_id = s.run_id

-- name: keep_plan
-- The digest is over the ids to be deleted, and over the contacts and fields to be cleared.
INSERT INTO contactsync.held_plans (folder_id, run_id, definition_id, revision, cleared, deletions, expires_at)
SELECT %(folder_id)s, %(run_id)s, %(definition_id)s, %(revision)s, %(cleared)s,
       sha256(convert_to(coalesce(string_agg(what, ',' ORDER BY contact_id, what), ''), 'UTF8')),
       now() + make_interval(days => %(days)s)
FROM (
    SELECT contact_id, contact_id::text AS what FROM pg_temp.planned WHERE action = 'delete'
    UNION ALL
    SELECT p.contact_id, p.contact_id || ' ' || f
    FROM pg_temp.planned AS p CROSS JOIN LATERAL contactsync.cleared_fields(p.changes) AS f
    WHERE p.action = 'update' AND NOT p.edited AND %(cleared)s ? f
) AS lost

-- name: keep_changes
INSERT INTO contactsync.held_changes (folder_id, run_id, contact_id, action, display_name, changes, matched_by)
SELECT %(folder_id)s, %(run_id)s, p.contact_id, p.action, p.display_name,
       coalesce(p.changes, contactsync.filled_fields({staged_object}), '{{}}'), p.matched_by
FROM pg_temp.planned AS p
LEFT JOIN pg_temp.staged AS s ON p.action = 'insert' AND s.source_key = p.source_key
WHERE p.action <> 'refresh'

-- name: approval
-- The valid approval for the current revision, locked so that it cannot be withdrawn while it is used.
SELECT run_id FROM contactsync.held_plans
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND revision = %(revision)s
  AND decision = 'approved' AND expires_at > now()
ORDER BY run_id DESC
LIMIT 1
FOR UPDATE

-- name: not_approved
-- The planned deletions that an approval does not cover: their number and the first names. NOT IN is hashed; without
-- statistics of what the held run has just written, NOT EXISTS would be joined row by row, in quadratic time.
SELECT count(*), (array_agg(p.display_name ORDER BY p.display_name))[1:5]
FROM pg_temp.planned AS p
WHERE p.action = 'delete' AND p.contact_id NOT IN (
    SELECT c.contact_id FROM contactsync.held_changes AS c
    WHERE c.folder_id = %(folder_id)s AND c.run_id = %(approved)s AND c.action = 'delete')

-- name: clears_not_approved
-- The same for fields to be cleared: the contacts in which the approval does not cover one of the `fields`.
SELECT count(*), (array_agg(p.display_name ORDER BY p.display_name))[1:5]
FROM (
    SELECT p.contact_id, p.display_name
    FROM pg_temp.planned AS p CROSS JOIN LATERAL contactsync.cleared_fields(p.changes) AS f
    WHERE p.action = 'update' AND NOT p.edited AND f = ANY (%(fields)s) AND (p.contact_id, f) NOT IN (
        SELECT c.contact_id, g
        FROM contactsync.held_plans AS h
        JOIN contactsync.held_changes AS c USING (folder_id, run_id)
        CROSS JOIN LATERAL contactsync.cleared_fields(c.changes) AS g
        WHERE h.folder_id = %(folder_id)s AND h.run_id = %(approved)s AND c.action = 'update' AND h.cleared ? g)
    GROUP BY p.contact_id, p.display_name
) AS p

-- name: held_plan
-- A plan and its state. `replaced_by`: the newer plan with the same digest that has overtaken it.
SELECT h.folder_id, h.run_id, h.definition_id, h.created_at, h.expires_at, h.decided_at, h.decided_by, h.settled_by,
       encode(h.deletions, 'hex') AS digest,
       CASE WHEN h.decision IN ('rejected', 'used', 'overtaken') THEN h.decision
            WHEN h.revision <> d.revision THEN 'void'
            WHEN h.expires_at <= now() THEN 'expired'
            ELSE coalesce(h.decision, 'waiting') END AS state,
       (SELECT max(n.run_id) FROM contactsync.held_plans AS n
        WHERE n.folder_id = h.folder_id AND n.definition_id = h.definition_id AND n.run_id > h.run_id
          AND n.deletions = h.deletions AND n.revision = h.revision AND h.decision = 'overtaken'
          AND coalesce(n.decision, '') <> 'overtaken') AS replaced_by,
       r.definition AS label, d.enabled, r.inserted, r.updated, r.deleted, r.rekeyed, r.held_reason, h.cleared
FROM contactsync.held_plans AS h
JOIN contactsync.sync_runs AS r USING (folder_id, run_id)
JOIN contactsync.sync_definitions AS d ON d.folder_id = h.folder_id AND d.definition_id = h.definition_id
WHERE h.run_id = %(run_id)s

-- name: held_changes
SELECT contact_id, action, display_name, changes AS fields, matched_by
FROM contactsync.held_changes
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND (%(action)s::text IS NULL OR action = %(action)s)
ORDER BY action, display_name, contact_id
LIMIT %(limit)s

-- name: held_page
SELECT contact_id, action, display_name, changes AS fields, matched_by
FROM contactsync.held_changes
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND contact_id > %(after)s
  AND (%(action)s::text IS NULL OR action = %(action)s
       OR (%(action)s = 'clear' AND action = 'update'
           AND EXISTS (SELECT FROM contactsync.cleared_fields(changes) AS f WHERE f = ANY (%(cleared)s))))
ORDER BY contact_id
LIMIT %(limit)s

-- name: decide
-- Only open plans can be decided; an approval can be withdrawn until it is used, and only the last one is valid.
WITH decided AS (
    UPDATE contactsync.held_plans
    SET decision = %(decision)s, decided_at = now(), decided_by = %(by)s
    WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND (decision IS NULL OR decision = 'approved')
    RETURNING folder_id, definition_id, run_id, decision
), withdrawn AS (
    UPDATE contactsync.held_plans AS h SET decision = 'overtaken', settled_by = d.run_id
    FROM decided AS d
    WHERE d.decision = 'approved' AND h.folder_id = d.folder_id AND h.definition_id = d.definition_id
      AND h.run_id <> d.run_id AND h.decision = 'approved'
)
SELECT run_id FROM decided

-- name: request_approved_run
-- Requests a run of one definition, unless it is paused or no daemon is connected.
INSERT INTO contactsync.sync_requests (folder_id, definition_id)
SELECT d.folder_id, d.definition_id
FROM contactsync.sync_definitions AS d
WHERE d.folder_id = %(folder_id)s AND d.definition_id = %(definition_id)s AND d.enabled AND EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(application_name)s)
RETURNING pg_notify('contactsync_requests', %(payload)s)
