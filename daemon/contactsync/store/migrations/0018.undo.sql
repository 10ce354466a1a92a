-- An undo finds the identities of deleted contacts by their ids. Without this index that took quadratic time.
CREATE INDEX departed_contacts_by_id ON contactsync.departed_contacts (folder_id, definition_id, contact_id);
