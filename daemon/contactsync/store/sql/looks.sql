-- name: daemon_listens
-- Every daemon listens over one connection with this name. Other users' connections are listed with their names too.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %(application_name)s)

-- name: rejected_of_run
SELECT dn, reason FROM contactsync.rejected_entries
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s
ORDER BY dn
LIMIT %(limit)s

-- name: schema_rights
-- Who asks, whether the schema is there, and whether its tables are the asker's own.
SELECT current_user, n.oid IS NOT NULL, coalesce(pg_has_role(n.nspowner, 'USAGE'), false)
FROM (SELECT) AS one LEFT JOIN pg_namespace AS n ON n.nspname = 'contactsync'

-- name: applied_migrations
-- What yoyo keeps of the migrations; there is no such table before the first.
SELECT migration_id FROM contactsync._yoyo_migration
