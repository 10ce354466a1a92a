-- Written with the changes, like the outcome: a run whose end is lost would otherwise leave behind that the contacts go by
-- the definition of before.
ALTER TABLE contactsync.sync_runs ADD COLUMN source_digest bytea, ADD COLUMN mapping_digest bytea;

COMMENT ON COLUMN contactsync.sync_runs.source_digest IS 'Stands for what the run brought the folder in step with; null for one that applied nothing.';
COMMENT ON COLUMN contactsync.sync_runs.mapping_digest IS 'Stands for the mapping that it applied; null as above.';
