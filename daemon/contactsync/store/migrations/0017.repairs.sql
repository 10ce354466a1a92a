-- What applications and people change behind a run's back is noticed by the next one.

-- The revision that the last run used: an edit while no daemon was running is run when it starts.
ALTER TABLE contactsync.sync_status ADD COLUMN last_revision bigint;
COMMENT ON COLUMN contactsync.sync_status.last_revision IS 'The revision of the definition that the last run used. Null before 0.1.0.';

-- A contact that an application takes from its definition comes back with the next run, which has to read everything.
CREATE FUNCTION contactsync.contact_taken() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE contactsync.sync_cursors AS c
    SET kind = NULL, value = NULL, server = NULL, context = NULL, reading = NULL
    WHERE c.folder_id = OLD.folder_id AND c.definition_id = OLD.definition_id AND num_nulls(c.kind, c.reading) < 2;
    RETURN NULL;
END;
$$;

CREATE TRIGGER contacts_disowned AFTER UPDATE OF folder_id, definition_id, source_key ON contactsync.contacts
    FOR EACH ROW WHEN (OLD.definition_id IS NOT NULL
        AND (NEW.folder_id, NEW.definition_id, NEW.source_key) IS DISTINCT FROM (OLD.folder_id, OLD.definition_id, OLD.source_key)
        AND current_setting('contactsync.applying', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION contactsync.contact_taken();

-- A photo that somebody changes or deletes is an edit of its contact: the trigger contacts_edited marks it.
CREATE FUNCTION contactsync.photo_edited() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE contactsync.contacts AS c SET photo_digest = NULL
    WHERE c.folder_id = OLD.folder_id AND c.contact_id = OLD.contact_id AND c.definition_id IS NOT NULL;
    RETURN NULL;
END;
$$;

CREATE TRIGGER contact_photos_edited AFTER UPDATE OR DELETE ON contactsync.contact_photos
    FOR EACH ROW WHEN (current_setting('contactsync.applying', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION contactsync.photo_edited();
