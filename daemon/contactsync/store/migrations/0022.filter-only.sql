-- A definition's filter narrows that of the mapping, unless it is the only one. It was the only one before: the
-- definitions that have one, in `filter` or in the query, keep what they search for.
ALTER TABLE contactsync.sync_definitions ADD COLUMN filter_only boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN contactsync.sync_definitions.filter_only IS 'Search with the definition''s filter alone, without that of the mapping.';
-- Not an edit: no run is due.
ALTER TABLE contactsync.sync_definitions DISABLE TRIGGER USER;
UPDATE contactsync.sync_definitions SET filter_only = true
WHERE filter IS NOT NULL OR query ~ '\?[^?]*\?[^?]*\?\s*[^?[:space:]]';
ALTER TABLE contactsync.sync_definitions ENABLE TRIGGER USER;
