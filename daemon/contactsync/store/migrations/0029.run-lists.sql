-- Pages of runs of one definition, or with one outcome, without reading all runs. A definition's id is unique.

CREATE INDEX sync_runs_of_definition ON contactsync.sync_runs (definition_id, run_id DESC);
DROP INDEX contactsync.sync_runs_by_definition;
CREATE INDEX sync_runs_by_outcome ON contactsync.sync_runs (outcome, run_id DESC);
