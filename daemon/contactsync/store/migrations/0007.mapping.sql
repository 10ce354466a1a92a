-- A changed mapping is noticed by its own digest, so that what it leaves as it was need not be written again.
ALTER TABLE contactsync.sync_status ADD COLUMN mapping_digest bytea;

COMMENT ON COLUMN contactsync.sync_status.mapping_digest IS 'Stands for the mapping that the contacts are in step with; under another one every entry is mapped anew.';
