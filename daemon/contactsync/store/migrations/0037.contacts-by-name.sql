-- People look at the contacts of a folder by name, a page at a time.
-- serves: 0034

CREATE INDEX contacts_by_name ON contactsync.contacts (folder_id, coalesce(display_name, ''), contact_id);
