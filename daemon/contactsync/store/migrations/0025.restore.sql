-- pg_dump orders the data of tables by their foreign keys, which contacts do not have. So a dump of data only brings contacts
-- before folders. Every script of pg_dump and pg_restore sets row_security to off: such a restore is not checked row by row.
CREATE OR REPLACE TRIGGER contacts_belong BEFORE INSERT ON contactsync.contacts
    FOR EACH ROW WHEN (current_setting('contactsync.applying', true) IS DISTINCT FROM 'on'
                       AND current_setting('row_security') = 'on')
    EXECUTE FUNCTION contactsync.contact_belongs();
