-- Runs that read nothing, since the server has counted no change.
ALTER TABLE contactsync.sync_runs
    DROP CONSTRAINT sync_runs_mode_check,
    ADD CONSTRAINT sync_runs_mode_check CHECK (mode IN ('full', 'incremental', 'counters', 'undo'));
