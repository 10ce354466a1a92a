-- Runs that read nothing, since the server has counted no change.
ALTER TABLE contactsync.sync_runs
    DROP CONSTRAINT sync_runs_mode_check,
    ADD CONSTRAINT sync_runs_mode_check CHECK (mode IN ('full', 'incremental', 'counters', 'undo'));

-- A contact that somebody deletes here while a run reads everything is not noticed by that run. So the row is there from
-- the run's beginning on, and stays when there is no cursor: whoever deletes writes it, or keeps others from writing it.
ALTER TABLE contactsync.sync_cursors
    ALTER COLUMN kind DROP NOT NULL,
    ALTER COLUMN value DROP NOT NULL,
    ALTER COLUMN server DROP NOT NULL,
    ALTER COLUMN context DROP NOT NULL,
    ADD COLUMN reading bigint,
    ADD CONSTRAINT sync_cursors_whole CHECK (num_nulls(kind, value, server, context) IN (0, 4));

COMMENT ON COLUMN contactsync.sync_cursors.kind IS 'Null, as the three that follow, while there is no cursor.';
COMMENT ON COLUMN contactsync.sync_cursors.reading IS 'The run that reads everything now; null when a contact was deleted here since it began.';

CREATE OR REPLACE FUNCTION contactsync.cursors_void() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    folders bigint[];
    definitions bigint[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE contactsync.sync_cursors SET kind = NULL, value = NULL, server = NULL, context = NULL, reading = NULL;
        RETURN NULL;
    END IF;
    SELECT array_agg(g.folder_id), array_agg(g.definition_id) INTO folders, definitions
    FROM (SELECT DISTINCT folder_id, definition_id FROM gone WHERE definition_id IS NOT NULL) AS g;
    UPDATE contactsync.sync_cursors AS c
    SET kind = NULL, value = NULL, server = NULL, context = NULL, reading = NULL
    FROM unnest(folders, definitions) AS g (folder_id, definition_id)
    WHERE c.folder_id = g.folder_id AND c.definition_id = g.definition_id AND num_nulls(c.kind, c.reading) < 2;
    -- Until this transaction has ended no run may begin that would go by what it deletes.
    PERFORM FROM contactsync.sync_cursors AS c
    JOIN unnest(folders, definitions) AS g (folder_id, definition_id) USING (folder_id, definition_id)
    FOR SHARE OF c;
    RETURN NULL;
END;
$$;

CREATE TRIGGER contacts_emptied AFTER TRUNCATE ON contactsync.contacts
    FOR EACH STATEMENT EXECUTE FUNCTION contactsync.cursors_void();
