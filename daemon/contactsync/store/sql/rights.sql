-- name: roles_of_person
-- The folders that a person may see at the web console, with the role there: 3 owner, 2 editor, 1 viewer.
WITH granted AS (
    SELECT r.folder_id, max(CASE r."right" WHEN 'edit' THEN 2 ELSE 1 END) AS role
    FROM contactsync.folder_rights AS r
    WHERE (lower(r.who), r.is_group) IN (
        SELECT lower(%(name)s::text), false UNION ALL SELECT lower(g), true FROM unnest(%(groups)s::text[]) AS g)
      AND r.folder_id = ANY (%(folder_ids)s::bigint[]) -- if folder_ids
    GROUP BY r.folder_id
), narrowed AS (
    SELECT DISTINCT r.folder_id FROM contactsync.folder_rights AS r
    WHERE r."right" = 'view'
      AND r.folder_id = ANY (%(folder_ids)s::bigint[]) -- if folder_ids
), roles AS (
    SELECT f.folder_id,
           CASE WHEN lower(f.owner) = lower(%(name)s::text) THEN 3
                WHEN g.role IS NOT NULL THEN g.role
                WHEN f.owner IS NULL AND n.folder_id IS NULL THEN 1
           END AS role
    FROM contactsync.folders AS f
    LEFT JOIN granted AS g USING (folder_id)
    LEFT JOIN narrowed AS n USING (folder_id)
    WHERE true
      AND f.folder_id = ANY (%(folder_ids)s::bigint[]) -- if folder_ids
)
SELECT folder_id, role FROM roles WHERE role IS NOT NULL

-- name: groups_with_rights
-- Their names are compared outside of SQL: a DN has several spellings.
SELECT DISTINCT r.who FROM contactsync.folder_rights AS r
WHERE r.is_group
  AND r.folder_id = ANY (%(folder_ids)s::bigint[]) -- if folder_ids

-- name: folder_named
SELECT name, owner FROM contactsync.folders WHERE folder_id = %(folder_id)s

-- name: lock_folder
-- One edit of the rights at a time.
SELECT pg_advisory_xact_lock(hashtextextended('contactsync.folder_rights', %(folder_id)s::bigint))

-- name: rights_of_folder
SELECT who, is_group, "right" FROM contactsync.folder_rights
WHERE folder_id = %(folder_id)s
ORDER BY is_group, lower(who)

-- name: clear_rights
DELETE FROM contactsync.folder_rights WHERE folder_id = %(folder_id)s

-- name: add_rights
INSERT INTO contactsync.folder_rights (folder_id, who, is_group, "right")
SELECT %(folder_id)s, r.who, r.is_group, r.allowed
FROM unnest(%(who)s::text[], %(is_group)s::boolean[], %(allowed)s::text[]) AS r (who, is_group, allowed)

-- name: password_by
SELECT password_by FROM contactsync.sync_definitions WHERE definition_id = %(definition_id)s
