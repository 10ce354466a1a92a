-- An example: personal folders are closed to others by row-level security. After roles.sql, by the owner of the schema:
--
--     psql --dbname=contactsync --file=personal-folders.sql
--
-- Each person has a role of its own, named like the owner of its folders and granted contactsync_application. A server
-- that many people use logs in as a role that was granted theirs, and says `SET LOCAL ROLE anna` in each transaction.
--
-- Everybody sees shared folders (without an owner) and his own, and writes his own only. The daemon and the command line
-- see all: as the owner of the tables by PostgreSQL's own rule, as members of contactsync_daemon by a policy that is true
-- for every row, which the planner leaves out. Tables that are not named here are granted to the daemon alone.
--
-- To take it back: DROP POLICY ... and ALTER TABLE ... DISABLE ROW LEVEL SECURITY.

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
            -- What the first two policies of folders let through counts here as well.
            EXECUTE format('CREATE POLICY seen ON contactsync.%I FOR SELECT TO contactsync_application, contactsync_reader
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f))', t);
            EXECUTE format('CREATE POLICY own ON contactsync.%I TO contactsync_application
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f
                                                 WHERE f.owner = current_user))', t);
        END IF;
    END LOOP;

    -- A view looks with the rights of its owner, who sees everything; before PostgreSQL 15 that cannot be changed.
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

-- A run may be asked for (request_sync) of every folder that one sees.
DROP POLICY IF EXISTS asked ON contactsync.sync_status;
CREATE POLICY asked ON contactsync.sync_status TO contactsync_application
    USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f));
