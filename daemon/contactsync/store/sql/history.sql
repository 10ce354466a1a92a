-- name: find_contacts
-- Contacts by id, name, email or DN: existing ones, people's own too, and deleted ones from the history.
WITH found AS (
    SELECT c.contact_id, c.display_name, c.emails[1] AS email, c.source_dn, c.definition_id, true AS present
    FROM contactsync.contacts AS c
    WHERE c.folder_id = %(folder_id)s AND (c.definition_id = %(definition_id)s OR c.definition_id IS NULL)
      AND (c.contact_id = %(contact_id)s::bigint
           OR strpos(lower(c.display_name), lower(%(text)s::text)) > 0
           OR lower(c.source_dn) = lower(%(text)s::text)
           OR EXISTS (SELECT FROM unnest(c.emails) AS e WHERE lower(e) = lower(%(text)s::text)))
), gone AS (
    SELECT DISTINCT ON (h.contact_id)
           h.contact_id, h.display_name, h.changes #>> '{emails,0,0}' AS email,
           h.changes #>> '{source_dn,0}' AS source_dn, r.definition_id, false AS present
    FROM contactsync.contact_changes AS h
    JOIN contactsync.sync_runs AS r ON r.folder_id = h.folder_id AND r.run_id = h.run_id
    WHERE h.folder_id = %(folder_id)s AND r.definition_id = %(definition_id)s
      AND NOT EXISTS (
        SELECT FROM contactsync.contacts AS c WHERE c.folder_id = h.folder_id AND c.contact_id = h.contact_id)
      AND (h.contact_id = %(contact_id)s::bigint
           OR strpos(lower(h.display_name), lower(%(text)s::text)) > 0
           OR lower(h.changes #>> '{source_dn,0}') = lower(%(text)s::text)
           OR EXISTS (SELECT FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(h.changes #> '{emails,0}') = 'array'
                                                                 THEN h.changes #> '{emails,0}' END) AS e
                      WHERE lower(e) = lower(%(text)s::text)))
    ORDER BY h.contact_id, h.run_id DESC
)
SELECT * FROM found UNION ALL SELECT * FROM gone
ORDER BY present DESC, display_name, contact_id
LIMIT %(limit)s

-- name: contact_of_key
SELECT contact_id, display_name, emails[1] AS email, source_dn, definition_id, true AS present
FROM contactsync.contacts
WHERE folder_id = %(folder_id)s AND definition_id = %(definition_id)s AND source_key = %(source_key)s

-- name: contact_fields
-- The fields of a contact, and when it was last written.
SELECT to_jsonb(c) - %(internal)s::text[], c.updated_at
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s AND c.contact_id = %(contact_id)s::bigint

-- name: changes_of_contact
SELECT h.run_id, r.trigger, r.started_at, r.finished_at, h.action, h.display_name, h.changes, r.undoes
FROM contactsync.contact_changes AS h
JOIN contactsync.sync_runs AS r ON r.folder_id = h.folder_id AND r.run_id = h.run_id
WHERE h.folder_id = %(folder_id)s AND h.contact_id = %(contact_id)s::bigint
ORDER BY h.run_id

-- name: rejected_like
-- The rejected entries of the last full run, by a part of their DN.
SELECT e.dn, e.reason, e.run_id
FROM contactsync.rejected_entries AS e
WHERE e.folder_id = %(folder_id)s
  AND e.run_id = (SELECT max(r.run_id) FROM contactsync.sync_runs AS r
                  WHERE r.folder_id = %(folder_id)s AND r.definition_id = %(definition_id)s
                    AND r.mode = 'full' AND r.outcome IN ('unchanged', 'changed', 'held'))
  AND strpos(lower(e.dn), lower(%(text)s::text)) > 0
ORDER BY e.dn
LIMIT %(limit)s

-- name: trimmed_of_contact
-- What the last run that read the contact's entry as it is now, with the mapping as it is now, dropped or changed.
SELECT DISTINCT t.field, t.reason, t.run_id
FROM contactsync.contacts AS c
JOIN contactsync.trimmed_values AS t
  ON t.folder_id = c.folder_id AND t.source_key = c.source_key AND t.fingerprint = c.fingerprint
WHERE c.folder_id = %(folder_id)s AND c.contact_id = %(contact_id)s::bigint
  AND t.run_id = (SELECT max(n.run_id) FROM contactsync.trimmed_values AS n
                  JOIN contactsync.sync_runs AS r ON r.folder_id = n.folder_id AND r.run_id = n.run_id
                  WHERE n.folder_id = c.folder_id AND n.source_key = c.source_key AND n.fingerprint = c.fingerprint
                    AND r.definition_id = c.definition_id
                    AND r.mapping_digest = (SELECT l.mapping_digest FROM contactsync.sync_runs AS l
                                            WHERE l.folder_id = c.folder_id AND l.definition_id = c.definition_id
                                              AND l.mapping_digest IS NOT NULL
                                            ORDER BY l.run_id DESC LIMIT 1))
ORDER BY t.field, t.reason
LIMIT %(limit)s

-- name: held_like
-- The changes of the newest plan that waits for a decision, or was approved and waits for its run.
SELECT h.run_id, h.action, h.display_name
FROM contactsync.held_changes AS h
WHERE h.folder_id = %(folder_id)s
  AND h.run_id = (SELECT max(p.run_id) FROM contactsync.held_plans AS p
                  JOIN contactsync.sync_definitions AS d ON d.folder_id = p.folder_id AND d.definition_id = p.definition_id
                  WHERE p.folder_id = %(folder_id)s AND p.definition_id = %(definition_id)s AND p.revision = d.revision
                    AND (p.decision IS NULL OR p.decision = 'approved') AND p.expires_at > now())
  AND (h.contact_id = %(contact_id)s::bigint
       OR (h.action = 'insert'
           AND (strpos(lower(h.display_name), lower(%(text)s::text)) > 0
                OR lower(h.changes #>> '{source_dn,1}') = lower(%(text)s::text)
                OR lower(h.changes #>> '{emails,1,0}') = lower(%(text)s::text))))
ORDER BY h.action, h.display_name
LIMIT %(limit)s
