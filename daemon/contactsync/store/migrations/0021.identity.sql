-- Contacts that a run recognised under another identity of their entry, and by which key.
ALTER TABLE contactsync.sync_runs ADD COLUMN rekeyed integer NOT NULL DEFAULT 0;
ALTER TABLE contactsync.contact_changes ADD COLUMN matched_by text;
ALTER TABLE contactsync.held_changes ADD COLUMN matched_by text;

COMMENT ON COLUMN contactsync.sync_runs.rekeyed IS 'Contacts, among the updated ones, whose entry has another identity than before.';
COMMENT ON COLUMN contactsync.contact_changes.matched_by IS 'The key by which a contact was recognised under another identity: dn, employee_number or mail.';
COMMENT ON COLUMN contactsync.held_changes.matched_by IS 'As in contact_changes.';
