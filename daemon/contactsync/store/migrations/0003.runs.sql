-- What was done: one row for each run, and what it changed in which contact.

CREATE TABLE contactsync.sync_runs (
    folder_id      bigint NOT NULL REFERENCES contactsync.folders ON DELETE CASCADE,
    run_id         bigint GENERATED ALWAYS AS IDENTITY,
    definition_id  bigint NOT NULL,
    definition     text NOT NULL,
    trigger        text NOT NULL,
    mode           text NOT NULL DEFAULT 'full' CHECK (mode IN ('full')),
    outcome        text CHECK (outcome IN ('unchanged', 'changed', 'held', 'failed', 'interrupted', 'cancelled')),
    started_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz,
    server         text,
    attempts       integer NOT NULL DEFAULT 0,
    entries        integer NOT NULL DEFAULT 0,
    unchanged      integer NOT NULL DEFAULT 0,
    refreshed      integer NOT NULL DEFAULT 0,
    rejected       integer NOT NULL DEFAULT 0,
    search_references integer NOT NULL DEFAULT 0,
    trimmed        integer NOT NULL DEFAULT 0,
    inserted       integer NOT NULL DEFAULT 0,
    updated        integer NOT NULL DEFAULT 0,
    deleted        integer NOT NULL DEFAULT 0,
    seconds        jsonb NOT NULL DEFAULT '{}',
    error_code     text,
    error          text,
    held_reason    text,
    PRIMARY KEY (folder_id, run_id)
);

COMMENT ON TABLE contactsync.sync_runs IS 'One row for each run. Outcome is null until it is known, finished_at while it runs; a held run counts what it would have done.';
COMMENT ON COLUMN contactsync.sync_runs.search_references IS 'Search references (referrals) that the server gave; they are counted, never followed.';
COMMENT ON COLUMN contactsync.sync_runs.seconds IS 'Seconds spent in each stage.';

CREATE INDEX sync_runs_by_id ON contactsync.sync_runs (run_id);
CREATE INDEX sync_runs_by_definition ON contactsync.sync_runs (folder_id, definition_id, run_id DESC);
CREATE INDEX sync_runs_unfinished ON contactsync.sync_runs (definition_id) WHERE finished_at IS NULL;

CREATE TABLE contactsync.contact_changes (
    folder_id     bigint NOT NULL,
    run_id        bigint NOT NULL,
    contact_id    bigint NOT NULL,
    action        text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    display_name  text,
    changes       jsonb,
    PRIMARY KEY (folder_id, run_id, contact_id)
);

COMMENT ON TABLE contactsync.contact_changes IS 'Per run and contact: the fields that changed, as {"field": [before, after]}. Null for an insert: what it brought is the row, as later changes left it.';

CREATE INDEX contact_changes_by_contact ON contactsync.contact_changes (folder_id, contact_id, run_id);

CREATE TABLE contactsync.rejected_entries (
    folder_id   bigint NOT NULL,
    run_id      bigint NOT NULL,
    dn          text NOT NULL,
    source_key  text,
    reason      text NOT NULL
);

COMMENT ON TABLE contactsync.rejected_entries IS 'Directory entries that a run could not make a contact of, by name.';

CREATE INDEX rejected_entries_by_run ON contactsync.rejected_entries (folder_id, run_id);

-- In place of foreign keys, whose check for each of 100,000 history rows would take longer than writing them.
CREATE FUNCTION contactsync.runs_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM contactsync.contact_changes AS c USING forgotten AS f WHERE c.folder_id = f.folder_id AND c.run_id = f.run_id;
    DELETE FROM contactsync.rejected_entries AS r USING forgotten AS f WHERE r.folder_id = f.folder_id AND r.run_id = f.run_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER sync_runs_forgotten AFTER DELETE ON contactsync.sync_runs
    REFERENCING OLD TABLE AS forgotten
    FOR EACH STATEMENT EXECUTE FUNCTION contactsync.runs_forgotten();

CREATE FUNCTION contactsync.changed_fields(before jsonb, after jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_object_agg(k.name, jsonb_build_array(before -> k.name, after -> k.name)), '{}')
    FROM (SELECT jsonb_object_keys(before) UNION SELECT jsonb_object_keys(after)) AS k (name)
    WHERE before -> k.name IS DISTINCT FROM after -> k.name
$$;

CREATE VIEW contactsync.definition_overview AS
SELECT f.folder_id, d.definition_id, f.name AS folder, f.owner, d.name AS definition,
       CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END
           || CASE WHEN d.name = 'directory' THEN '' ELSE ':' || d.name END AS label,
       d.query, d.bind_user, d.schedule, d.time_zone, d.enabled, d.revision,
       coalesce(s.state, 'valid') AS state, s.reason,
       s.last_run_id, s.last_outcome, s.last_started_at, s.last_success_at, s.next_run_at,
       (SELECT count(*) FROM contactsync.contacts AS c
        WHERE c.folder_id = d.folder_id AND c.definition_id = d.definition_id) AS contacts
FROM contactsync.sync_definitions AS d
JOIN contactsync.folders AS f USING (folder_id)
LEFT JOIN contactsync.sync_status AS s ON s.folder_id = d.folder_id AND s.definition_id = d.definition_id;

COMMENT ON VIEW contactsync.definition_overview IS 'One row for each definition, for people and applications; holds no password.';
