-- pg_dump orders the data of tables by their foreign keys, which contacts do not have. So a dump of data only brings contacts
-- before folders. Every script of pg_dump and pg_restore sets row_security to off: such a restore is not checked row by row.
CREATE OR REPLACE TRIGGER contacts_belong BEFORE INSERT ON contactsync.contacts
    FOR EACH ROW WHEN (current_setting('contactsync.applying', true) IS DISTINCT FROM 'on'
                       AND current_setting('row_security') = 'on')
    EXECUTE FUNCTION contactsync.contact_belongs();

-- The audit comes with the dump. Only the owner of the schema can restore, so nobody else escapes the audit by row_security.
CREATE OR REPLACE FUNCTION contactsync.restoring() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT current_setting('row_security') = 'off' AND pg_has_role(session_user, current_user, 'USAGE')
$$;

CREATE OR REPLACE TRIGGER sync_definitions_audited AFTER INSERT OR UPDATE OR DELETE ON contactsync.sync_definitions
    FOR EACH ROW WHEN (NOT contactsync.restoring()) EXECUTE FUNCTION contactsync.audit_definition();
CREATE OR REPLACE TRIGGER sync_requests_audited AFTER INSERT ON contactsync.sync_requests
    FOR EACH ROW WHEN (NOT contactsync.restoring()) EXECUTE FUNCTION contactsync.audit_request();
