-- A definition whose user or password was refused waits for somebody: trying again would lock the account.

ALTER TABLE contactsync.sync_status DROP CONSTRAINT sync_status_state_check;
ALTER TABLE contactsync.sync_status ADD CONSTRAINT sync_status_state_check CHECK (state IN ('valid', 'invalid', 'locked'));

COMMENT ON COLUMN contactsync.sync_status.state IS 'locked: the directory refused the user or the password, so nothing runs by itself until the definition is edited or a run by hand gets in.';

CREATE FUNCTION contactsync.unlock_definition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE contactsync.sync_status AS s SET state = 'valid', reason = NULL
    WHERE s.folder_id = NEW.folder_id AND s.definition_id = NEW.definition_id AND s.state = 'locked';
    RETURN NULL;
END;
$$;

-- Here and not in the daemon, so that an edit counts that was made while no daemon was there.
CREATE TRIGGER sync_definitions_unlocked AFTER UPDATE ON contactsync.sync_definitions
    FOR EACH ROW WHEN (NEW.revision <> OLD.revision) EXECUTE FUNCTION contactsync.unlock_definition();

-- Whichever process made the run, the daemon hears of it.
CREATE TRIGGER sync_status_announced AFTER UPDATE OF state ON contactsync.sync_status
    FOR EACH ROW WHEN (NEW.state <> OLD.state AND 'locked' IN (NEW.state, OLD.state))
    EXECUTE FUNCTION contactsync.announce_definition();
