-- Creates the group contactsync_backup, which pg_dump can read everything with. Run it as a superuser, after roles.sql:
--
--     psql --dbname=contactsync --file=backup.sql
--
-- Row-level security (personal-folders.sql) refuses a dump of a role that does not see every row, also of a member of
-- pg_read_all_data. Only a superuser can grant BYPASSRLS, and members do not inherit it: a dump names the group.
--
--     GRANT contactsync_backup TO backup;
--     pg_dump --username=backup --role=contactsync_backup --format=custom --file=contactsync.dump contactsync
--
-- Run it again after each migration. It can be repeated at any time.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'contactsync_backup') THEN
        CREATE ROLE contactsync_backup NOLOGIN BYPASSRLS;
    END IF;
END;
$$;

GRANT USAGE ON SCHEMA contactsync TO contactsync_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA contactsync TO contactsync_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA contactsync TO contactsync_backup;
