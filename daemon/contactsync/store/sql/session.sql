-- name: prepare_session
-- Settings that a role, a database or the environment may bring, and on which statements or psycopg depend. A setting that
-- this version of PostgreSQL does not know is left out. Returns session_replication_role, which only a superuser may set.
-- lock_timeout: an open transaction of another session must not stop more than what it has locked.
-- temp_buffers: the staged rows of 100,000 people take 45 MB, and with the default of 8 MB they go to a file and back.
SELECT current_setting('session_replication_role'), count(set_config(w.name, w.value, false))
FROM (VALUES
    ('search_path', 'pg_catalog, pg_temp'),
    ('default_transaction_isolation', 'read committed'),
    ('default_transaction_deferrable', 'off'),
    ('statement_timeout', '0'),
    ('lock_timeout', '2s'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    ('transaction_timeout', '0'),
    ('datestyle', 'ISO, MDY'),
    ('intervalstyle', 'postgres'),
    ('timezone', 'UTC'),
    ('row_security', 'on'),
    ('bytea_output', 'hex'),
    ('standard_conforming_strings', 'on'),
    ('array_nulls', 'on'),
    ('transform_null_equals', 'off'),
    ('extra_float_digits', '1'),
    ('default_table_access_method', 'heap'),
    ('exit_on_error', 'off'),
    ('restrict_nonsystem_relation_kind', ''),
    ('plpgsql.extra_errors', 'none'),
    ('temp_buffers', '64MB')
) AS w (name, value)
WHERE current_setting(w.name, true) <> w.value

-- name: session_state
SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean, pg_backend_pid()

-- name: limit_statements
-- For the statements after this one; `unlock_everything` takes the limit away.
SELECT set_config('statement_timeout', %(milliseconds)s, false)
