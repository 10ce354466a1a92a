-- What a held run would have done, kept until somebody decides; and runs that take another one back.

ALTER TABLE contactsync.sync_runs DROP CONSTRAINT sync_runs_mode_check;
ALTER TABLE contactsync.sync_runs ADD CONSTRAINT sync_runs_mode_check CHECK (mode IN ('full', 'undo'));
ALTER TABLE contactsync.sync_runs ADD COLUMN undoes bigint;

COMMENT ON COLUMN contactsync.sync_runs.undoes IS 'The run that this one took back.';

CREATE TABLE contactsync.held_plans (
    folder_id      bigint NOT NULL,
    run_id         bigint NOT NULL,
    definition_id  bigint NOT NULL,
    revision       bigint NOT NULL,
    deletions      bytea NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    decision       text CHECK (decision IN ('approved', 'rejected', 'used', 'overtaken')),
    decided_at     timestamptz,
    decided_by     text,
    settled_by     bigint,
    PRIMARY KEY (folder_id, run_id),
    FOREIGN KEY (folder_id, run_id) REFERENCES contactsync.sync_runs (folder_id, run_id) ON DELETE CASCADE,
    FOREIGN KEY (folder_id, definition_id) REFERENCES contactsync.sync_definitions (folder_id, definition_id) ON DELETE CASCADE
);

COMMENT ON TABLE contactsync.held_plans IS 'The plan of each held run, and what somebody decided. An approval lets one later run delete the contacts in the plan, and no others.';
COMMENT ON COLUMN contactsync.held_plans.revision IS 'The definition''s revision: an edit makes the plan void.';
COMMENT ON COLUMN contactsync.held_plans.deletions IS 'Digest of the ids to be deleted: two plans with the same one ask for the same approval.';
COMMENT ON COLUMN contactsync.held_plans.settled_by IS 'The later run that used the approval, or that made the plan pointless.';

CREATE INDEX held_plans_open ON contactsync.held_plans (folder_id, definition_id) WHERE decision IS NULL OR decision = 'approved';

CREATE TABLE contactsync.held_changes (
    folder_id     bigint NOT NULL,
    run_id        bigint NOT NULL,
    contact_id    bigint NOT NULL,
    action        text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    display_name  text,
    changes       jsonb NOT NULL,
    PRIMARY KEY (folder_id, run_id, contact_id)
);

COMMENT ON TABLE contactsync.held_changes IS 'Per held run and contact: the fields that would change, as {"field": [before, after]}; for an insert all that it would bring.';

-- In place of a foreign key, as for contact_changes.
CREATE FUNCTION contactsync.held_plans_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM contactsync.held_changes AS c USING forgotten AS f WHERE c.folder_id = f.folder_id AND c.run_id = f.run_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER held_plans_forgotten AFTER DELETE ON contactsync.held_plans
    REFERENCING OLD TABLE AS forgotten
    FOR EACH STATEMENT EXECUTE FUNCTION contactsync.held_plans_forgotten();

CREATE FUNCTION contactsync.filled_fields(fields jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_object_agg(f.key, jsonb_build_array(NULL, f.value))
    FROM jsonb_each(fields) AS f
    WHERE f.value NOT IN ('null', '[]', '{}')
$$;

COMMENT ON FUNCTION contactsync.filled_fields IS 'What an insert brings, as a change: {"field": [null, value]} of every field with a value.';
