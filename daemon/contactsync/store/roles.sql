-- Creates six groups and grants their rights in one database. Run it as the owner of the schema or a superuser:
--
--     psql --dbname=contactsync --file=roles.sql
--
-- contactsync_daemon       the rights of the daemon and of all commands that do not edit definitions
-- contactsync_editor       in addition `contactsync folders add`, `edit` and `remove`
-- contactsync_application  reads contacts and history, writes people's own contacts, edits definitions, requests runs
-- contactsync_person       the same for one person; personal-folders.sql limits its writes to the person's own folders
-- contactsync_operator     reads states, runs, history and held changes, approves and rejects these, pauses, requests runs
-- contactsync_reader       reads contacts
--
-- The groups cannot log in. Grant them to login roles as docs/how-to/postgresql.md shows. A role with these rights only cannot
-- change the schema: its owner does, with `contactsync migrate`. Run this again after each migration. It can be repeated at
-- any time, and revokes nothing.

BEGIN;
SET LOCAL client_min_messages = warning;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['contactsync_daemon', 'contactsync_editor', 'contactsync_application', 'contactsync_person',
                                'contactsync_operator', 'contactsync_reader']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
    -- For the staging tables of a run.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO contactsync_daemon', current_database());
END;
$$;

GRANT USAGE ON SCHEMA contactsync TO contactsync_daemon, contactsync_editor, contactsync_application, contactsync_person,
    contactsync_operator, contactsync_reader;


-- The daemon. It reads definitions, pauses them after an undo, seals new passwords, and writes the other tables; triggers of
-- the owner do the rest.

GRANT SELECT ON contactsync.folders, contactsync.sync_definitions, contactsync.definition_overview,
    contactsync.schema_migrations TO contactsync_daemon;
GRANT UPDATE (enabled) ON contactsync.sync_definitions TO contactsync_daemon;
GRANT EXECUTE ON FUNCTION contactsync.accept_password TO contactsync_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON contactsync.public_key TO contactsync_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON contactsync.contacts, contactsync.contact_photos, contactsync.sync_runs
    TO contactsync_daemon;
GRANT SELECT, DELETE ON contactsync.departed_contacts TO contactsync_daemon;
GRANT SELECT, INSERT, UPDATE ON contactsync.sync_status, contactsync.held_plans TO contactsync_daemon;
GRANT SELECT, INSERT ON contactsync.contact_changes, contactsync.rejected_entries,
    contactsync.trimmed_values TO contactsync_daemon;
GRANT SELECT, INSERT, DELETE ON contactsync.held_changes TO contactsync_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON contactsync.sync_cursors TO contactsync_daemon;
GRANT USAGE ON SEQUENCE contactsync.contact_ids, contactsync.request_ids TO contactsync_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON contactsync.sync_requests TO contactsync_daemon;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'contactsync' AND tablename = 'sync_requests'
                   AND policyname = 'daemon') THEN
        CREATE POLICY daemon ON contactsync.sync_requests TO contactsync_daemon USING (true);
    END IF;
END;
$$;
-- The right to write the audit is also the right to name the actor of a deed.
GRANT SELECT, INSERT, DELETE ON contactsync.audit TO contactsync_daemon;
GRANT EXECUTE ON FUNCTION contactsync.write_audit TO contactsync_daemon;
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at, revoked_by) ON contactsync.tokens TO contactsync_daemon;
GRANT SELECT, INSERT, DELETE ON contactsync.folder_rights TO contactsync_daemon;

-- A fleet: the queue has a schema of its own, which exists only with [fleet].
GRANT SELECT, INSERT, UPDATE, DELETE ON contactsync.fleet_nodes, contactsync.fleet_messages, contactsync.fleet_listeners,
    contactsync.fleet_unable, contactsync.fleet_live, contactsync.refused_logons TO contactsync_daemon;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'contactsync_queue') THEN
        GRANT USAGE ON SCHEMA contactsync_queue TO contactsync_daemon;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA contactsync_queue TO contactsync_daemon;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA contactsync_queue TO contactsync_daemon;
    END IF;
END;
$$;


-- Edits on the command line, for a role that is also a member of contactsync_daemon.

GRANT INSERT, UPDATE, DELETE ON contactsync.folders, contactsync.sync_definitions TO contactsync_editor;


-- Readers.

GRANT SELECT ON contactsync.folders, contactsync.contacts, contactsync.contact_photos
    TO contactsync_reader, contactsync_application, contactsync_person;


-- Applications. They can seal a new password for the daemon, but neither read nor write the sealed one. They cannot make the
-- daemon send a referenced password to another server, or make it authenticate by its ticket or certificate (auth, tls_client_cert, tls_client_key). The columns that assign a
-- contact to an entry belong to the daemon.

GRANT SELECT ON contactsync.definition_overview, contactsync.sync_status, contactsync.sync_runs, contactsync.contact_changes,
    contactsync.public_key TO contactsync_application, contactsync_person;

GRANT INSERT (name, owner), UPDATE (name, owner), DELETE ON contactsync.folders
    TO contactsync_application, contactsync_person;

GRANT SELECT (
    folder_id, definition_id, name, query, bind_user, password_ref, base, scope, filter, filter_only, mapping, schedule,
    time_zone, jitter_seconds, auth, tls, tls_verify, tls_minimum, tls_ca_file, tls_ca_pem, tls_client_cert, tls_client_key,
    max_delete_count, max_delete_share, allow_empty, deadline_seconds, page_size, mode, enabled, revision, created_at,
    updated_at, password_stored
) ON contactsync.sync_definitions TO contactsync_application, contactsync_person;
GRANT INSERT (
    folder_id, name, query, bind_user, base, scope, filter, filter_only, mapping, schedule, time_zone,
    jitter_seconds, tls, tls_verify, tls_minimum, tls_ca_file, tls_ca_pem, max_delete_count, max_delete_share, allow_empty,
    deadline_seconds, page_size, mode, enabled
) ON contactsync.sync_definitions TO contactsync_application, contactsync_person;
GRANT UPDATE (
    name, query, bind_user, base, scope, filter, filter_only, mapping, schedule, time_zone,
    jitter_seconds, tls, tls_verify, tls_minimum, tls_ca_file, tls_ca_pem, max_delete_count, max_delete_share, allow_empty,
    deadline_seconds, page_size, mode, enabled, password_new
) ON contactsync.sync_definitions TO contactsync_application, contactsync_person;
GRANT DELETE ON contactsync.sync_definitions TO contactsync_application, contactsync_person;

-- For request_sync. Each role sees its own requests.
GRANT SELECT, INSERT (request_id, folder_id, definition_id) ON contactsync.sync_requests
    TO contactsync_application, contactsync_person;
GRANT USAGE ON SEQUENCE contactsync.request_ids TO contactsync_application, contactsync_person;

GRANT INSERT (
    folder_id, display_name, name_prefix, given_name, additional_names, family_name, name_suffix, nickname, initials,
    emails, work_phones, mobile_phones, home_phones, other_phones, fax_numbers, pagers, ip_phones, organization, department,
    title, employee_number, manager, assistant, office, street, po_box, city, region, postal_code, country, home_address,
    websites, languages, notes, photo_digest, extra
) ON contactsync.contacts TO contactsync_application, contactsync_person;
GRANT UPDATE (
    display_name, name_prefix, given_name, additional_names, family_name, name_suffix, nickname, initials,
    emails, work_phones, mobile_phones, home_phones, other_phones, fax_numbers, pagers, ip_phones, organization, department,
    title, employee_number, manager, assistant, office, street, po_box, city, region, postal_code, country, home_address,
    websites, languages, notes, photo_digest, extra
) ON contactsync.contacts TO contactsync_application, contactsync_person;
GRANT DELETE ON contactsync.contacts TO contactsync_application, contactsync_person;
GRANT INSERT, UPDATE, DELETE ON contactsync.contact_photos TO contactsync_application, contactsync_person;
GRANT USAGE ON SEQUENCE contactsync.contact_ids TO contactsync_application, contactsync_person;


-- Operators. They change neither contacts nor what a definition reads.

GRANT SELECT ON contactsync.folders, contactsync.contacts, contactsync.definition_overview, contactsync.sync_status,
    contactsync.sync_runs, contactsync.contact_changes, contactsync.rejected_entries, contactsync.held_plans,
    contactsync.held_changes, contactsync.schema_migrations TO contactsync_operator;
GRANT SELECT (
    folder_id, definition_id, name, query, bind_user, password_ref, base, scope, filter, filter_only, mapping, schedule, time_zone,
    jitter_seconds, auth, tls, tls_verify, tls_minimum, tls_ca_file, tls_ca_pem, tls_client_cert, tls_client_key,
    max_delete_count, max_delete_share, allow_empty, deadline_seconds, page_size, mode, enabled, revision, created_at,
    updated_at, password_stored
) ON contactsync.sync_definitions TO contactsync_operator;
GRANT UPDATE (enabled) ON contactsync.sync_definitions TO contactsync_operator;
GRANT UPDATE (decision, decided_at, decided_by, settled_by) ON contactsync.held_plans TO contactsync_operator;
GRANT SELECT, INSERT (request_id, folder_id, definition_id) ON contactsync.sync_requests TO contactsync_operator;
GRANT USAGE ON SEQUENCE contactsync.request_ids TO contactsync_operator;

COMMIT;
