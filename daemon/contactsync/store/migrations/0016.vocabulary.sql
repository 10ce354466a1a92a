-- Columns and states get the words that the log, the API and the documentation use.

ALTER TABLE contactsync.sync_runs RENAME COLUMN passed_over TO skipped_servers;
ALTER TABLE contactsync.sync_runs RENAME COLUMN why_full TO full_reason;

COMMENT ON COLUMN contactsync.sync_runs.skipped_servers IS 'The servers that come before the one in `server` and could not be used. The log says why.';
COMMENT ON COLUMN contactsync.sync_runs.full_reason IS 'Why the run read everything although it could have read only the changes. Null if it did not.';

-- CREATE OR REPLACE VIEW keeps the grants but drops the options; personal-folders.sql sets security_invoker.
DO $$
DECLARE
    options CONSTANT text := (SELECT array_to_string(reloptions, ', ') FROM pg_class
                              WHERE oid = 'contactsync.definition_overview'::regclass);
BEGIN
    CREATE OR REPLACE VIEW contactsync.definition_overview AS
    SELECT f.folder_id, d.definition_id, f.name AS folder, f.owner, d.name AS definition,
           CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END
               || CASE WHEN d.name = 'directory' THEN '' ELSE ':' || d.name END AS label,
           d.query, d.bind_user, d.schedule, d.time_zone, d.enabled, d.revision, w.state,
           CASE WHEN w.state IN ('invalid', 'locked') THEN s.reason
                WHEN w.state = 'held' THEN r.held_reason
                WHEN w.state = 'failing' THEN r.error END AS reason,
           s.last_run_id, s.last_outcome, s.last_started_at, s.last_success_at, s.next_run_at,
           (SELECT count(*) FROM contactsync.contacts AS c
            WHERE c.folder_id = d.folder_id AND c.definition_id = d.definition_id) AS contacts,
           CASE WHEN w.state IN ('locked', 'failing') THEN r.error_code END AS error_code, d.created_at
    FROM contactsync.sync_definitions AS d
    JOIN contactsync.folders AS f USING (folder_id)
    LEFT JOIN contactsync.sync_status AS s ON s.folder_id = d.folder_id AND s.definition_id = d.definition_id
    LEFT JOIN contactsync.sync_runs AS r ON r.folder_id = s.folder_id AND r.run_id = s.last_run_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.state = 'invalid' THEN 'invalid'
                    WHEN NOT d.enabled THEN 'paused'
                    WHEN s.state = 'locked' THEN 'locked'
                    WHEN s.last_outcome IS NULL THEN 'never_run'
                    WHEN s.last_outcome IN ('unchanged', 'changed') THEN 'ok'
                    WHEN s.last_outcome = 'held' THEN 'held'
                    WHEN s.last_outcome = 'failed' THEN 'failing'
                    ELSE 'interrupted' END) AS w (state);
    IF options IS NOT NULL THEN
        EXECUTE format('ALTER VIEW contactsync.definition_overview SET (%s)', options);
    END IF;
END;
$$;

COMMENT ON VIEW contactsync.definition_overview IS 'One row for each definition, for people and applications, without passwords. State: invalid, paused, locked, never_run, ok, held, failing or interrupted; reason: why it is invalid, locked, held or failing.';

-- In PL/pgSQL, since PostgreSQL checks the body of a SQL function before the function exists.
CREATE FUNCTION contactsync.undone_by(folder_id bigint, run_id bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT max(u.run_id) FROM contactsync.sync_runs AS u
            WHERE u.folder_id = undone_by.folder_id AND u.undoes = undone_by.run_id
              AND contactsync.undone_by(u.folder_id, u.run_id) IS NULL);
END;
$$;

COMMENT ON FUNCTION contactsync.undone_by IS 'The run that undid this run. Null if its changes count: it was not undone, or its undo was undone itself.';

CREATE INDEX sync_runs_undoing ON contactsync.sync_runs (folder_id, undoes) WHERE undoes IS NOT NULL;
