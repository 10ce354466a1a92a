-- The guard sums what the runs of the last day deleted, however many runs there were that deleted nothing.
CREATE INDEX sync_runs_deleting ON contactsync.sync_runs (folder_id, definition_id, started_at) WHERE deleted > 0;
