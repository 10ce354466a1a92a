-- Two columns of a run get the words that the log, the API and the documentation use.
ALTER TABLE contactsync.sync_runs RENAME COLUMN passed_over TO skipped_servers;
ALTER TABLE contactsync.sync_runs RENAME COLUMN why_full TO full_reason;

COMMENT ON COLUMN contactsync.sync_runs.skipped_servers IS 'The servers that come before the one in `server` and could not be used. The log says why.';
COMMENT ON COLUMN contactsync.sync_runs.full_reason IS 'Why the run read everything although it could have read only the changes. Null if it did not.';
