-- An example: row-level security for personal folders. Run it after roles.sql, as the owner of the schema:
--
--     psql --dbname=contactsync --file=personal-folders.sql
--
-- Each person has a role with the name of the folders' owner, as a member of contactsync_person. A server for many people
-- logs in as a role that is a member of their roles, and executes `SET LOCAL ROLE anna` in each transaction.
--
-- A person sees shared folders (without an owner) and the person's own, and writes the person's own only. A member of
-- contactsync_application writes shared folders too. The daemon, editors and operators see all rows, by a policy that is
-- always true, which the planner removes; so does the owner of the tables. Other tables are granted to these only.
--
-- It can be repeated at any time.
-- To undo it: DROP POLICY ... and ALTER TABLE ... DISABLE ROW LEVEL SECURITY.

BEGIN;
SET LOCAL client_min_messages = warning;

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
        EXECUTE format('DROP POLICY IF EXISTS shared ON contactsync.%I', t);
        EXECUTE format('CREATE POLICY daemon ON contactsync.%I
                        TO contactsync_daemon, contactsync_editor, contactsync_operator USING (true)', t);
        IF t <> 'folders' THEN
            -- The subqueries apply the policies of folders.
            EXECUTE format('CREATE POLICY seen ON contactsync.%I FOR SELECT
                            TO contactsync_application, contactsync_person, contactsync_reader
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f))', t);
            EXECUTE format('CREATE POLICY own ON contactsync.%I TO contactsync_application, contactsync_person
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f
                                                 WHERE f.owner = current_user))', t);
            EXECUTE format('CREATE POLICY shared ON contactsync.%I TO contactsync_application
                            USING (folder_id IN (SELECT f.folder_id FROM contactsync.folders AS f
                                                 WHERE f.owner IS NULL))', t);
        END IF;
    END LOOP;
    DROP POLICY IF EXISTS requested ON contactsync.sync_status;

    -- A view has the rights of its owner, who sees all rows; before PostgreSQL 15 this cannot be changed.
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW contactsync.definition_overview SET (security_invoker = true);
    ELSE
        REVOKE SELECT ON contactsync.definition_overview FROM contactsync_application, contactsync_person;
    END IF;
END;
$$;

CREATE POLICY seen ON contactsync.folders FOR SELECT TO contactsync_application, contactsync_person, contactsync_reader
    USING (owner IS NULL OR owner = current_user);
CREATE POLICY own ON contactsync.folders TO contactsync_application, contactsync_person USING (owner = current_user);
CREATE POLICY shared ON contactsync.folders TO contactsync_application USING (owner IS NULL);

COMMIT;
