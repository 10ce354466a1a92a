-- An example: row-level security for personal folders. Run it after roles.sql, as the owner of the schema:
--
--     psql --dbname=contactsync --file=personal-folders.sql
--
-- Each person has a role with the name of the folders' owner, as a member of contactsync_application. A server for many
-- people logs in as a role that is a member of their roles, and executes `SET LOCAL ROLE anna` in each transaction.
--
-- A person sees shared folders (without an owner) and personal ones, and writes the personal ones only. The daemon and
-- the command line see all rows: as owner of the tables, or as members of contactsync_daemon by a policy that is always
-- true, which the planner removes. Other tables are granted to the daemon only.
--
-- To undo it: DROP POLICY ... and ALTER TABLE ... DISABLE ROW LEVEL SECURITY.

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'folders', 'sync_definitions', 'sync_status', 'sync_runs', 'contacts', 'contact_photos', 'contact_changes']
    LOOP
        EXECUTE format('ALTER TABLE contactsync.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('DROP POLICY IF EXISTS daemon ON contactsync.%I', t);
        EXECUTE format('DROP POLICY IF EXISTS seen ON contactsync.%I', t);
        EXECUTE format('DROP POLICY IF EXISTS own ON contactsync.%I', t);
        EXECUTE format('CREATE POLICY daemon ON contactsync.%I TO contactsync_daemon, contactsync_editor USING (true)', t);
        IF t <> 'folders' THEN
            -- The subqueries apply the policies of folders.
            EXECUTE format('CREATE POLICY seen ON contactsync.%I FOR SELECT TO contactsync_application, contactsync_reader
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f))', t);
            EXECUTE format('CREATE POLICY own ON contactsync.%I TO contactsync_application
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f
                                                 WHERE f.owner = current_user))', t);
        END IF;
    END LOOP;

    -- A view has the rights of its owner, who sees all rows; before PostgreSQL 15 this cannot be changed.
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW contactsync.definition_overview SET (security_invoker = true);
    ELSE
        REVOKE SELECT ON contactsync.definition_overview FROM contactsync_application;
    END IF;
END;
$$;

CREATE POLICY seen ON contactsync.folders FOR SELECT TO contactsync_application, contactsync_reader
    USING (owner IS NULL OR owner = current_user);
CREATE POLICY own ON contactsync.folders TO contactsync_application USING (owner = current_user);
