-- Persons at the web console are actors: how they signed in, and the address of their browser.

ALTER TABLE contactsync.audit
    ADD COLUMN how text,
    ADD COLUMN address text,
    DROP CONSTRAINT audit_via_check,
    ADD CONSTRAINT audit_via_check CHECK (via IN ('api', 'cli', 'web', 'sql', 'daemon'));

COMMENT ON COLUMN contactsync.audit.actor_kind IS 'How the actor was identified: unix (an account of the machine), token (of a program), web (a person who signed in at the web console) or sql (a role of PostgreSQL).';
COMMENT ON COLUMN contactsync.audit.via IS 'api, cli, web, or sql for a statement that did not come through contactsync; daemon for the daemon itself.';
COMMENT ON COLUMN contactsync.audit.how IS 'How a person signed in at the web console; null for other actors.';
COMMENT ON COLUMN contactsync.audit.address IS 'The address of the browser of a person at the web console; null for other actors.';

CREATE OR REPLACE FUNCTION contactsync.write_audit(
    action text, folder_id bigint, definition_id bigint, label text, run_id bigint, before jsonb, after jsonb
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Inside of this function current_user is its owner.
    database_role CONSTANT text := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
    actor CONSTANT jsonb := CASE WHEN has_table_privilege(database_role, 'contactsync.audit', 'INSERT')
                        THEN nullif(current_setting('contactsync.actor', true), '')::jsonb END;
BEGIN
    INSERT INTO contactsync.audit (database_role, actor_kind, actor, via, how, address, action, folder_id, definition_id, label,
                                   run_id, before, after)
    VALUES (database_role, coalesce(actor ->> 'kind', 'sql'), coalesce(actor ->> 'name', database_role), coalesce(actor ->> 'via', 'sql'),
            actor ->> 'how', actor ->> 'address', action, folder_id, definition_id, label, run_id, before, after);
END;
$$;
