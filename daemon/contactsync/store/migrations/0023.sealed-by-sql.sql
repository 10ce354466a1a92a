-- Passwords that programs seal for the daemon and write by SQL.

CREATE TABLE contactsync.public_key (
    key_id      bytea PRIMARY KEY CHECK (octet_length(key_id) = 4),
    public_key  bytea NOT NULL CHECK (octet_length(public_key) = 32),
    algorithm   text NOT NULL
);

COMMENT ON TABLE contactsync.public_key IS 'The key that a password is sealed with for the daemon, which writes its row when it starts. The private key is not in the database.';
COMMENT ON COLUMN contactsync.public_key.key_id IS 'The id of the daemon''s secret key, which the private key is derived from.';
COMMENT ON COLUMN contactsync.public_key.algorithm IS 'The algorithms of the sealed password; docs/reference/sql.md has its format.';

ALTER TABLE contactsync.sync_definitions
    ADD COLUMN password_new bytea
        CONSTRAINT sync_definitions_new_password_length CHECK (octet_length(password_new) BETWEEN 54 AND 4096),
    ADD COLUMN password_stored boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT sync_definitions_new_password_has_user
        CHECK (password_new IS NULL OR (bind_user IS NOT NULL AND password_ref IS NULL));

COMMENT ON COLUMN contactsync.sync_definitions.password_new IS 'A password sealed for contactsync.public_key and bound to password_binding(definition_id). The daemon opens it, stores it in password_sealed and sets this to null.';
COMMENT ON COLUMN contactsync.sync_definitions.password_stored IS 'Whether password_sealed has a value. Kept by a trigger.';

-- Not an edit: neither a new revision nor a notification.
ALTER TABLE contactsync.sync_definitions DISABLE TRIGGER USER;
UPDATE contactsync.sync_definitions SET password_stored = true WHERE password_sealed IS NOT NULL;
ALTER TABLE contactsync.sync_definitions ENABLE TRIGGER USER;

CREATE FUNCTION contactsync.note_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A password that is set in another way, or a user who is removed, replaces one that was not opened yet.
    IF TG_OP = 'UPDATE' AND NEW.password_new = OLD.password_new
        AND (NEW.bind_user IS NULL
             OR (NEW.password_sealed, NEW.password_ref) IS DISTINCT FROM (OLD.password_sealed, OLD.password_ref)) THEN
        NEW.password_new := NULL;
    END IF;
    NEW.password_stored := NEW.password_sealed IS NOT NULL;
    RETURN NEW;
END;
$$;

CREATE TRIGGER sync_definitions_password_noted BEFORE INSERT OR UPDATE ON contactsync.sync_definitions
    FOR EACH ROW EXECUTE FUNCTION contactsync.note_password();

-- For the daemon, which has no right to edit definitions: it only replaces a new password, and only in the revision that it
-- has read. A row that another session has locked is not waited for. Returns the next revision, or null.
CREATE FUNCTION contactsync.accept_password(definition_id bigint, revision bigint, sealed bytea) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE contactsync.sync_definitions AS d SET password_sealed = accept_password.sealed, password_new = NULL
    WHERE d.definition_id = (
        SELECT f.definition_id FROM contactsync.sync_definitions AS f
        WHERE f.definition_id = accept_password.definition_id AND f.revision = accept_password.revision
          AND f.password_new IS NOT NULL
        FOR UPDATE SKIP LOCKED)
    RETURNING d.revision
$$;

REVOKE ALL ON FUNCTION contactsync.accept_password FROM PUBLIC;

-- The daemon computes the same octets: credentials/bind.py.
CREATE FUNCTION contactsync.password_binding(definition_id bigint) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT convert_to(jsonb_build_array(
        d.definition_id, d.query, d.bind_user, d.auth, d.tls, d.tls_verify, d.tls_minimum, d.tls_ca_file, d.tls_ca_pem
    )::text, 'UTF8')
    FROM contactsync.sync_definitions AS d WHERE d.definition_id = password_binding.definition_id
$$;

COMMENT ON FUNCTION contactsync.password_binding IS 'What a new password is bound to, as the associated data of its encryption: JSON in UTF-8 with the definition, its query, user and TLS settings.';

-- CREATE OR REPLACE VIEW keeps the grants but drops the options; personal-folders.sql sets security_invoker.
DO $$
DECLARE
    options CONSTANT text := (SELECT array_to_string(reloptions, ', ') FROM pg_class
                              WHERE oid = 'contactsync.definition_overview'::regclass);
BEGIN
    CREATE OR REPLACE VIEW contactsync.definition_overview AS
    SELECT f.folder_id, d.definition_id, f.name AS folder, f.owner, d.name AS definition,
           CASE WHEN f.owner IS NULL THEN f.name ELSE f.owner || '/' || f.name END
               || CASE WHEN d.name = 'directory' THEN '' ELSE ':' || d.name END AS label,
           d.query, d.bind_user, d.schedule, d.time_zone, d.enabled, d.revision, w.state,
           CASE WHEN w.state IN ('invalid', 'locked') THEN s.reason
                WHEN w.state = 'held' THEN r.held_reason
                WHEN w.state = 'failing' THEN r.error END AS reason,
           s.last_run_id, s.last_outcome, s.last_started_at, s.last_success_at, s.next_run_at,
           (SELECT count(*) FROM contactsync.contacts AS c
            WHERE c.folder_id = d.folder_id AND c.definition_id = d.definition_id) AS contacts,
           CASE WHEN w.state IN ('locked', 'failing') THEN r.error_code END AS error_code, d.created_at,
           d.password_stored
    FROM contactsync.sync_definitions AS d
    JOIN contactsync.folders AS f USING (folder_id)
    LEFT JOIN contactsync.sync_status AS s ON s.folder_id = d.folder_id AND s.definition_id = d.definition_id
    LEFT JOIN contactsync.sync_runs AS r ON r.folder_id = s.folder_id AND r.run_id = s.last_run_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.state = 'invalid' THEN 'invalid'
                    WHEN NOT d.enabled THEN 'paused'
                    WHEN s.state = 'locked' THEN 'locked'
                    WHEN s.last_outcome IS NULL THEN 'never_run'
                    WHEN s.last_outcome IN ('unchanged', 'changed') THEN 'ok'
                    WHEN s.last_outcome = 'held' THEN 'held'
                    WHEN s.last_outcome = 'failed' THEN 'failing'
                    ELSE 'interrupted' END) AS w (state);
    IF options IS NOT NULL THEN
        EXECUTE format('ALTER VIEW contactsync.definition_overview SET (%s)', options);
    END IF;
END;
$$;
