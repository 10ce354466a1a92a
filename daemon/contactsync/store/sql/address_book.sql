-- name: contacts_page
-- The pattern is matched with what is shown; there is no index for parts of words.
SELECT c.contact_id, c.definition_id, c.display_name, c.emails, c.work_phones, c.mobile_phones, c.department, c.title,
       c.photo_digest IS NOT NULL AS photo
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s
  AND (coalesce(c.display_name, ''), c.contact_id) > (%(name)s::text, %(contact_id)s::bigint)
  AND (%(patterns)s::text[] = '{}' OR concat_ws(' ', c.display_name, c.department, array_to_string(c.emails, ' '),
       array_to_string(c.work_phones, ' '), array_to_string(c.mobile_phones, ' ')) ~ ALL (%(patterns)s))
ORDER BY coalesce(c.display_name, ''), c.contact_id
LIMIT %(limit)s

-- name: one_contact
SELECT c.contact_id, c.folder_id, c.definition_id, c.updated_at, to_jsonb(c) - %(internal)s::text[] AS fields,
       c.photo_digest IS NOT NULL AS photo
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s AND c.contact_id = %(contact_id)s

-- name: photo
SELECT photo FROM contactsync.contact_photos WHERE folder_id = %(folder_id)s AND contact_id = %(contact_id)s
