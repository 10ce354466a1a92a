-- Runs that ask only for what changed: how a definition is to be kept in step, and up to where it is.
ALTER TABLE contactsync.sync_definitions
    ADD COLUMN mode text NOT NULL DEFAULT 'auto'
        CONSTRAINT sync_definitions_mode_known CHECK (mode IN ('auto', 'full', 'incremental', 'live'));

ALTER TABLE contactsync.sync_runs
    DROP CONSTRAINT sync_runs_mode_check,
    ADD COLUMN why_full text,
    ADD CONSTRAINT sync_runs_mode_check CHECK (mode IN ('full', 'incremental', 'undo'));

CREATE TABLE contactsync.sync_cursors (
    folder_id      bigint NOT NULL,
    definition_id  bigint NOT NULL,
    kind           text NOT NULL,
    value          bytea NOT NULL,
    server         bytea NOT NULL,
    context        bytea NOT NULL,
    moved_at       timestamptz NOT NULL DEFAULT now(),
    full_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (folder_id, definition_id),
    FOREIGN KEY (folder_id, definition_id) REFERENCES contactsync.sync_definitions (folder_id, definition_id) ON DELETE CASCADE
);

COMMENT ON TABLE contactsync.sync_cursors IS 'Up to where a definition''s contacts are in step with the directory; written with the changes that brought them there.';
COMMENT ON COLUMN contactsync.sync_cursors.context IS 'Stands for everything that was asked for, and of whom; with anything else the cursor is void.';
COMMENT ON COLUMN contactsync.sync_cursors.full_at IS 'When the directory was last read as a whole.';

-- A run that asks only for what changed in the directory has to know at once whether a person changed something here. With
-- `<> 16` PostgreSQL would expect to find such a contact soon without the index, and look at all of them.
CREATE INDEX contacts_touched ON contactsync.contacts (folder_id, definition_id) WHERE octet_length(fingerprint) = 8;

-- A contact that somebody deletes here comes back with the next run that reads everything.
CREATE FUNCTION contactsync.cursors_void() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM contactsync.sync_cursors AS c USING gone AS g
    WHERE c.folder_id = g.folder_id AND c.definition_id = g.definition_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER contacts_taken AFTER DELETE ON contactsync.contacts
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
    WHEN (current_setting('contactsync.applying', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION contactsync.cursors_void();
