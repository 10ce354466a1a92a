-- What people at the web console may do: rights in folders, and who typed a password there.
-- serves: 0034

CREATE TABLE contactsync.folder_rights (
    folder_id  bigint NOT NULL REFERENCES contactsync.folders ON DELETE CASCADE,
    who        text NOT NULL
               CONSTRAINT folder_rights_who_is_plain CHECK (who = btrim(who) AND length(who) BETWEEN 1 AND 256 AND who !~ '[[:cntrl:]]'),
    is_group   boolean NOT NULL DEFAULT false,
    "right"    text NOT NULL CHECK ("right" IN ('view', 'edit'))
);

CREATE UNIQUE INDEX folder_rights_key ON contactsync.folder_rights (folder_id, is_group, lower(who));

COMMENT ON TABLE contactsync.folder_rights IS 'Rights of people and groups at the web console. The owner of a personal folder needs none. A shared folder is for all who sign in, unless it has a row with the right view: then it is for those in its rows only.';
COMMENT ON COLUMN contactsync.folder_rights.who IS 'The name of a person or group, as the sign-in gives it. Upper and lower case are the same.';
COMMENT ON COLUMN contactsync.folder_rights."right" IS 'view, or edit, which includes view.';

ALTER TABLE contactsync.sync_definitions ADD COLUMN password_by text;

COMMENT ON COLUMN contactsync.sync_definitions.password_by IS 'The person who typed the password at the web console; null if it came in another way. Kept by a trigger.';

CREATE OR REPLACE FUNCTION contactsync.note_password() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor jsonb;
BEGIN
    -- A password that is set in another way, or a user who is removed, replaces one that was not opened yet.
    IF TG_OP = 'UPDATE' AND NEW.password_new = OLD.password_new
        AND (NEW.bind_user IS NULL
             OR (NEW.password_sealed, NEW.password_ref) IS DISTINCT FROM (OLD.password_sealed, OLD.password_ref)) THEN
        NEW.password_new := NULL;
    END IF;
    NEW.password_stored := NEW.password_sealed IS NOT NULL;
    -- A dump brings it.
    IF (TG_OP = 'INSERT' AND NOT contactsync.restoring())
        OR TG_OP = 'UPDATE' AND (NEW.password_sealed, NEW.password_new, NEW.password_ref)
                                IS DISTINCT FROM (OLD.password_sealed, OLD.password_new, OLD.password_ref) THEN
        -- The actor counts only for roles that may write the audit.
        IF NEW.password_sealed IS NOT NULL AND has_table_privilege('contactsync.audit', 'INSERT') THEN
            actor := nullif(current_setting('contactsync.actor', true), '')::jsonb;
        END IF;
        NEW.password_by := CASE WHEN actor ->> 'kind' = 'web' THEN actor ->> 'name' END;
    END IF;
    RETURN NEW;
END;
$$;

CREATE OR REPLACE FUNCTION contactsync.audited_fields(definition contactsync.sync_definitions) RETURNS jsonb
    LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(to_jsonb(definition)
        - ARRAY['folder_id', 'definition_id', 'password_sealed', 'password_new', 'password_stored', 'password_by', 'revision',
                'created_at', 'updated_at']
        || jsonb_build_object('tls_client_key', CASE WHEN definition.tls_client_key IS NOT NULL THEN 'set' END))
$$;

COMMENT ON COLUMN contactsync.audit.action IS 'definition.added, .edited, .removed, .paused or .resumed; folder.edited; rights.set; password.set or .cleared; run.approved, .rejected, .undone or .cancelled; sync.requested or .cancelled; node.drained or .resumed; token.added or .revoked.';
