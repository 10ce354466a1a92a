-- name: contacts_page
-- In the order of the index contacts_by_name.
SELECT c.contact_id, c.definition_id, c.display_name, c.emails, c.work_phones, c.mobile_phones, c.department, c.title,
       c.photo_digest IS NOT NULL AS photo, encode(c.photo_digest, 'hex') AS photo_digest
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s
  AND (coalesce(c.display_name, ''), c.contact_id) > (%(name)s::text, %(contact_id)s::bigint)
ORDER BY coalesce(c.display_name, ''), c.contact_id
LIMIT %(limit)s

-- name: contacts_search
-- The patterns are matched with what is shown, in lines; there is no index for parts of words. concat hides the names from
-- the index contacts_by_name: contacts in its order would be matched one after the other, on one processor.
SELECT c.contact_id, c.definition_id, c.display_name, c.emails, c.work_phones, c.mobile_phones, c.department, c.title,
       c.photo_digest IS NOT NULL AS photo, encode(c.photo_digest, 'hex') AS photo_digest
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s
  AND (concat(c.display_name), c.contact_id) > (%(name)s::text, %(contact_id)s::bigint)
  AND concat_ws(E'\n', c.display_name, c.department,
                array_to_string(c.emails || c.work_phones || c.mobile_phones, E'\n')) ~ ALL (%(patterns)s)
ORDER BY concat(c.display_name), c.contact_id
LIMIT %(limit)s

-- name: contacts_search_near
-- The same among the next contacts by name only, so many of them: it ends as soon as the page is full, without a look at the
-- whole folder.
SELECT c.contact_id, c.definition_id, c.display_name, c.emails, c.work_phones, c.mobile_phones, c.department, c.title,
       c.photo_digest IS NOT NULL AS photo, encode(c.photo_digest, 'hex') AS photo_digest
FROM (
    SELECT coalesce(n.display_name, '') AS by_name, n.contact_id, n.definition_id, n.display_name, n.emails, n.work_phones,
           n.mobile_phones, n.department, n.title, n.photo_digest
    FROM contactsync.contacts AS n
    WHERE n.folder_id = %(folder_id)s
      AND (coalesce(n.display_name, ''), n.contact_id) > (%(name)s::text, %(contact_id)s::bigint)
    ORDER BY coalesce(n.display_name, ''), n.contact_id
    LIMIT %(near)s
) AS c
WHERE concat_ws(E'\n', c.display_name, c.department,
                array_to_string(c.emails || c.work_phones || c.mobile_phones, E'\n')) ~ ALL (%(patterns)s)
ORDER BY c.by_name, c.contact_id
LIMIT %(limit)s

-- name: one_contact
SELECT c.contact_id, c.folder_id, c.definition_id, c.updated_at, to_jsonb(c) - %(internal)s::text[] AS fields,
       c.photo_digest IS NOT NULL AS photo, encode(c.photo_digest, 'hex') AS photo_digest
FROM contactsync.contacts AS c
WHERE c.folder_id = %(folder_id)s AND c.contact_id = %(contact_id)s

-- name: photo
SELECT photo FROM contactsync.contact_photos WHERE folder_id = %(folder_id)s AND contact_id = %(contact_id)s

-- name: contacts_anywhere
-- Contacts of all folders by mail, DN and telephone number. A number is compared by its digits without leading zeros; the
-- shorter one of two may lack the country's code, which has up to three digits. LIKE excludes most contacts quickly.
SELECT c.contact_id, c.folder_id, CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END AS folder,
       c.definition_id, c.display_name, c.emails, c.work_phones, c.mobile_phones, c.department, c.title,
       c.photo_digest IS NOT NULL AS photo, encode(c.photo_digest, 'hex') AS photo_digest
FROM contactsync.contacts AS c
JOIN contactsync.folders AS f USING (folder_id)
WHERE c.contact_id > %(after)s
  AND c.folder_id = ANY (%(folder_ids)s) -- if folder_ids
  AND EXISTS (SELECT FROM unnest(c.emails) AS e (mail) WHERE lower(e.mail) = lower(%(mail)s)) -- if mail
  AND lower(c.source_dn) = lower(%(dn)s) -- if dn
  AND array_to_string(c.work_phones || c.mobile_phones || c.home_phones || c.other_phones || c.ip_phones, ' ') -- if number
      LIKE '%%' || regexp_replace(right(%(number)s, 7), '(.)', '\1%%', 'g') -- if number
  AND EXISTS ( -- if number
      SELECT FROM unnest(c.work_phones || c.mobile_phones || c.home_phones || c.other_phones || c.ip_phones) AS p (phone), -- if number
          ltrim(regexp_replace(replace(p.phone, '(0)', ''), '[^0-9]', '', 'g'), '0') AS n (digits), -- if number
          least(length(n.digits), length(%(number)s)) AS s (shorter) -- if number
      WHERE n.digits = %(number)s OR (s.shorter >= 7 AND abs(length(n.digits) - length(%(number)s)) <= 3 -- if number
          AND right(n.digits, s.shorter) = right(%(number)s, s.shorter))) -- if number
ORDER BY c.contact_id
LIMIT %(limit)s
