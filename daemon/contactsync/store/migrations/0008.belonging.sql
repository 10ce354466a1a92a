-- In place of the foreign keys of contacts, whose check for each of 100,000 contacts takes as long as writing them. A run
-- holds its definition, so what it writes cannot be forsaken; everybody else's rows are looked at one by one.
ALTER TABLE contactsync.contacts
    DROP CONSTRAINT contacts_folder_id_fkey,
    DROP CONSTRAINT contacts_folder_id_definition_id_fkey;

CREATE FUNCTION contactsync.contact_belongs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM contactsync.folders AS f WHERE f.folder_id = NEW.folder_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('There is no folder %s for this contact.', NEW.folder_id);
    END IF;
    IF NEW.definition_id IS NOT NULL THEN
        PERFORM FROM contactsync.sync_definitions AS d
        WHERE d.folder_id = NEW.folder_id AND d.definition_id = NEW.definition_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE foreign_key_violation
                USING MESSAGE = format('The folder %s has no definition %s for this contact.', NEW.folder_id, NEW.definition_id);
        END IF;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER contacts_belong BEFORE INSERT ON contactsync.contacts
    FOR EACH ROW WHEN (current_setting('contactsync.applying', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION contactsync.contact_belongs();

CREATE TRIGGER contacts_belong_elsewhere BEFORE UPDATE OF folder_id, definition_id ON contactsync.contacts
    FOR EACH ROW WHEN ((NEW.folder_id, NEW.definition_id) IS DISTINCT FROM (OLD.folder_id, OLD.definition_id))
    EXECUTE FUNCTION contactsync.contact_belongs();

-- Under another isolation level a contact that was added meanwhile would not be seen, and would stay behind.
CREATE FUNCTION contactsync.contacts_forsaken() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE feature_not_supported USING
            MESSAGE = 'Folders and definitions can only be deleted at the isolation level READ COMMITTED.';
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM contactsync.contacts WHERE TG_TABLE_NAME = 'folders' OR definition_id IS NOT NULL;
    ELSIF TG_TABLE_NAME = 'folders' THEN
        DELETE FROM contactsync.contacts AS c USING forsaken AS f WHERE c.folder_id = f.folder_id;
    ELSE
        DELETE FROM contactsync.contacts AS c USING forsaken AS f
        WHERE c.folder_id = f.folder_id AND c.definition_id = f.definition_id;
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER folders_forsaken AFTER DELETE ON contactsync.folders
    REFERENCING OLD TABLE AS forsaken FOR EACH STATEMENT EXECUTE FUNCTION contactsync.contacts_forsaken();
CREATE TRIGGER sync_definitions_forsaken AFTER DELETE ON contactsync.sync_definitions
    REFERENCING OLD TABLE AS forsaken FOR EACH STATEMENT EXECUTE FUNCTION contactsync.contacts_forsaken();
CREATE TRIGGER folders_emptied AFTER TRUNCATE ON contactsync.folders
    FOR EACH STATEMENT EXECUTE FUNCTION contactsync.contacts_forsaken();
CREATE TRIGGER sync_definitions_emptied AFTER TRUNCATE ON contactsync.sync_definitions
    FOR EACH STATEMENT EXECUTE FUNCTION contactsync.contacts_forsaken();

CREATE FUNCTION contactsync.ids_are_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE feature_not_supported USING MESSAGE = 'The ids of folders and definitions cannot be changed.';
END;
$$;

CREATE TRIGGER folders_fixed BEFORE UPDATE OF folder_id ON contactsync.folders
    FOR EACH ROW WHEN (NEW.folder_id <> OLD.folder_id) EXECUTE FUNCTION contactsync.ids_are_fixed();
CREATE TRIGGER sync_definitions_fixed BEFORE UPDATE OF folder_id, definition_id ON contactsync.sync_definitions
    FOR EACH ROW WHEN ((NEW.folder_id, NEW.definition_id) <> (OLD.folder_id, OLD.definition_id))
    EXECUTE FUNCTION contactsync.ids_are_fixed();
