-- name: schema_rights
-- The current role, whether the schema exists, and whether the role owns it.
SELECT current_user, n.oid IS NOT NULL, coalesce(pg_has_role(n.nspowner, 'USAGE'), false)
FROM (SELECT) AS one LEFT JOIN pg_namespace AS n ON n.nspname = 'contactsync'

-- name: applied_migrations
-- With the oldest migration whose programs still work; null in a schema that does not say so.
SELECT m.name, to_jsonb(m) ->> 'serves' FROM contactsync.schema_migrations AS m

-- name: applied_by_yoyo
-- Versions before 0.1.0 noted their migrations in tables of yoyo.
SELECT migration_id, NULL FROM contactsync._yoyo_migration

-- name: create_migrations_table
CREATE TABLE IF NOT EXISTS contactsync.schema_migrations (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE contactsync.schema_migrations ADD COLUMN IF NOT EXISTS serves text;
COMMENT ON TABLE contactsync.schema_migrations IS 'The migrations that were applied; each was written in its own transaction.';
COMMENT ON COLUMN contactsync.schema_migrations.serves IS 'The number of a migration: programs that know it work with this schema, too. Null: only programs that know this migration.'

-- name: yoyo_is_there
SELECT to_regclass('contactsync._yoyo_migration') IS NOT NULL

-- name: adopt_yoyo
INSERT INTO contactsync.schema_migrations (name, applied_at)
    SELECT migration_id, applied_at_utc AT TIME ZONE 'UTC' FROM contactsync._yoyo_migration ON CONFLICT DO NOTHING;
DROP TABLE IF EXISTS contactsync._yoyo_migration, contactsync._yoyo_log, contactsync._yoyo_version, contactsync.yoyo_lock

-- name: note_migration
INSERT INTO contactsync.schema_migrations (name, serves) VALUES (%s, %s)

-- name: fleet_exists
SELECT to_regclass('contactsync.fleet_nodes') IS NOT NULL

-- name: nodes_below
-- Living nodes of a fleet whose program does not know this migration.
SELECT n.name, n.version FROM contactsync.fleet_nodes AS n
WHERE n.ended_at IS NULL AND n.heartbeat_at > clock_timestamp() - interval '10 seconds'
  AND coalesce(to_jsonb(n) ->> 'schema_level', '') < %s
ORDER BY n.name

-- name: try_migration_lock
SELECT pg_try_advisory_lock(%s)

-- name: migration_lock_timeout
SELECT set_config('lock_timeout', %s, false)

-- name: migration_lock_holder
-- An advisory lock's 64-bit key is in two columns of pg_locks (PostgreSQL manual, section 54.12, pg_locks).
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'no application name'), a.backend_start
FROM (SELECT %s::bigint AS key) AS k
JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.classid::bigint = k.key >> 32 AND l.objid::bigint = k.key & 4294967295
JOIN pg_stat_activity AS a USING (pid)
LIMIT 1
