-- Who did what: one row for each deed of a user, written in its transaction.

CREATE TABLE contactsync.audit (
    audit_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT now(),
    actor_kind     text NOT NULL,
    actor          text NOT NULL,
    via            text NOT NULL CHECK (via IN ('api', 'cli', 'sql', 'daemon')),
    database_role  text NOT NULL,
    action         text NOT NULL,
    folder_id      bigint,
    definition_id  bigint,
    label          text,
    run_id         bigint,
    before         jsonb,
    after          jsonb
);

COMMENT ON TABLE contactsync.audit IS 'One row for each deed of a user, written in the transaction of the deed. Holds no password. Rows outlive their folder and definition.';
COMMENT ON COLUMN contactsync.audit.actor_kind IS 'How the actor was identified: unix (an account of the machine) or sql (a role of PostgreSQL).';
COMMENT ON COLUMN contactsync.audit.via IS 'api, cli, or sql for a statement that did not come through contactsync; daemon for the daemon itself.';
COMMENT ON COLUMN contactsync.audit.database_role IS 'The role in PostgreSQL: of SET ROLE, else the one that is logged in.';
COMMENT ON COLUMN contactsync.audit.action IS 'definition.added, .edited, .removed, .paused or .resumed; folder.edited; password.set or .cleared; run.approved, .rejected, .undone or .cancelled; sync.requested.';
COMMENT ON COLUMN contactsync.audit.label IS 'The label of the definition or folder at that time.';
COMMENT ON COLUMN contactsync.audit.before IS 'The values of the changed fields before.';
COMMENT ON COLUMN contactsync.audit.after IS 'The values of the changed fields after, or details of the deed.';

CREATE INDEX audit_by_definition ON contactsync.audit (definition_id, audit_id DESC);
CREATE INDEX audit_by_time ON contactsync.audit (at);

-- The setting contactsync.actor names the actor of a transaction. It counts only for roles that may write the table: an
-- application cannot act under the name of another user.
CREATE FUNCTION contactsync.write_audit(
    action text, folder_id bigint, definition_id bigint, label text, run_id bigint, before jsonb, after jsonb
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Inside of this function current_user is its owner.
    database_role CONSTANT text := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
    actor CONSTANT jsonb := CASE WHEN has_table_privilege(database_role, 'contactsync.audit', 'INSERT')
                        THEN nullif(current_setting('contactsync.actor', true), '')::jsonb END;
BEGIN
    INSERT INTO contactsync.audit (database_role, actor_kind, actor, via, action, folder_id, definition_id, label, run_id, before, after)
    VALUES (database_role, coalesce(actor ->> 'kind', 'sql'), coalesce(actor ->> 'name', database_role), coalesce(actor ->> 'via', 'sql'),
            action, folder_id, definition_id, label, run_id, before, after);
END;
$$;

-- Only triggers of the owner and roles of roles.sql may call it: its arguments are not checked.
REVOKE ALL ON FUNCTION contactsync.write_audit FROM PUBLIC;

CREATE FUNCTION contactsync.definition_label(folder text, owner text, definition text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN owner IS NULL THEN folder ELSE owner || '/' || folder END
        || CASE WHEN definition = 'directory' THEN '' ELSE ':' || definition END
$$;

-- Without secrets, and without what is no setting.
CREATE FUNCTION contactsync.audited_fields(definition contactsync.sync_definitions) RETURNS jsonb
    LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(to_jsonb(definition)
        - ARRAY['folder_id', 'definition_id', 'password_sealed', 'password_new', 'password_stored', 'revision',
                'created_at', 'updated_at']
        || jsonb_build_object('tls_client_key', CASE WHEN definition.tls_client_key IS NOT NULL THEN 'set' END))
$$;

CREATE FUNCTION contactsync.audit_definition() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    definition CONSTANT contactsync.sync_definitions := coalesce(NEW, OLD);
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE contactsync.audited_fields(OLD) END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE contactsync.audited_fields(NEW) END;
    edited CONSTANT text[] := ARRAY(
        SELECT k FROM jsonb_object_keys(before || after) AS k
        WHERE k <> 'enabled' AND before -> k IS DISTINCT FROM after -> k);
    -- The folder is gone already if its deletion removes the definition.
    label CONSTANT text := coalesce(
        (SELECT contactsync.definition_label(f.name, f.owner, definition.name)
         FROM contactsync.folders AS f WHERE f.folder_id = definition.folder_id),
        (SELECT a.label FROM contactsync.audit AS a
         WHERE a.definition_id = definition.definition_id ORDER BY a.audit_id DESC LIMIT 1));
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM contactsync.write_audit('definition.added', definition.folder_id, definition.definition_id, label, NULL, NULL, after);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM contactsync.write_audit('definition.removed', definition.folder_id, definition.definition_id, label, NULL, before, NULL);
        RETURN NULL;
    ELSE
        IF cardinality(edited) > 0 OR OLD.tls_client_key IS DISTINCT FROM NEW.tls_client_key THEN
            PERFORM contactsync.write_audit(
                'definition.edited', definition.folder_id, definition.definition_id, label, NULL,
                (SELECT jsonb_object_agg(k, before -> k) FROM unnest(edited) AS k),
                (SELECT jsonb_object_agg(k, after -> k) FROM unnest(edited) AS k));
        END IF;
        IF OLD.enabled <> NEW.enabled THEN
            PERFORM contactsync.write_audit(
                CASE WHEN NEW.enabled THEN 'definition.resumed' ELSE 'definition.paused' END,
                definition.folder_id, definition.definition_id, label, NULL, NULL, NULL);
        END IF;
    END IF;
    IF OLD.password_new IS NOT NULL AND NEW.password_new IS NULL
        AND nullif(current_setting('contactsync.actor', true), '')::jsonb ->> 'via' = 'daemon' THEN
        NULL; -- The daemon accepts a password that was audited when an application wrote it.
    ELSIF (NEW.password_sealed IS NOT NULL AND NEW.password_sealed IS DISTINCT FROM OLD.password_sealed)
        OR (NEW.password_new IS NOT NULL AND NEW.password_new IS DISTINCT FROM OLD.password_new) THEN
        PERFORM contactsync.write_audit('password.set', definition.folder_id, definition.definition_id, label, NULL, NULL, NULL);
    ELSIF OLD.password_sealed IS NOT NULL AND NEW.password_sealed IS NULL THEN
        PERFORM contactsync.write_audit('password.cleared', definition.folder_id, definition.definition_id, label, NULL, NULL, NULL);
    END IF;
    RETURN NULL;
END;
$$;

-- The audit comes with the dump. Only the owner of the schema can restore, so nobody else escapes the audit by row_security.
CREATE FUNCTION contactsync.restoring() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT current_setting('row_security') = 'off' AND pg_has_role(session_user, current_user, 'USAGE')
$$;

CREATE TRIGGER sync_definitions_audited AFTER INSERT OR UPDATE OR DELETE ON contactsync.sync_definitions
    FOR EACH ROW WHEN (NOT contactsync.restoring()) EXECUTE FUNCTION contactsync.audit_definition();

CREATE FUNCTION contactsync.audit_folder() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM contactsync.write_audit(
        'folder.edited', NEW.folder_id, NULL, contactsync.definition_label(NEW.name, NEW.owner, 'directory'), NULL,
        jsonb_build_object('name', OLD.name, 'owner', OLD.owner), jsonb_build_object('name', NEW.name, 'owner', NEW.owner));
    RETURN NULL;
END;
$$;

CREATE TRIGGER folders_audited AFTER UPDATE ON contactsync.folders
    FOR EACH ROW WHEN ((NEW.name, NEW.owner) IS DISTINCT FROM (OLD.name, OLD.owner))
    EXECUTE FUNCTION contactsync.audit_folder();

-- contactsync.request_sync, and an approval on the command line. An approval has a row of its own.
CREATE FUNCTION contactsync.audit_request() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM contactsync.write_audit(
        'sync.requested', NEW.folder_id, NEW.definition_id, contactsync.definition_label(f.name, f.owner, d.name), NULL, NULL, NULL)
    FROM contactsync.sync_definitions AS d JOIN contactsync.folders AS f USING (folder_id)
    WHERE d.folder_id = NEW.folder_id AND d.definition_id = NEW.definition_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER sync_requests_audited AFTER INSERT ON contactsync.sync_requests
    FOR EACH ROW WHEN (NOT contactsync.restoring()) EXECUTE FUNCTION contactsync.audit_request();
