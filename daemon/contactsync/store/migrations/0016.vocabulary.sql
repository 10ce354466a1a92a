-- Columns and states get the words that the log, the API and the documentation use.

ALTER TABLE contactsync.sync_runs RENAME COLUMN passed_over TO skipped_servers;
ALTER TABLE contactsync.sync_runs RENAME COLUMN why_full TO full_reason;

COMMENT ON COLUMN contactsync.sync_runs.skipped_servers IS 'The servers that come before the one in `server` and could not be used. The log says why.';
COMMENT ON COLUMN contactsync.sync_runs.full_reason IS 'Why the run read everything although it could have read only the changes. Null if it did not.';

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
           CASE WHEN w.state IN ('locked', 'failing') THEN r.error_code END AS error_code, d.created_at
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

COMMENT ON VIEW contactsync.definition_overview IS 'One row for each definition, for people and applications, without passwords. State: invalid, paused, locked, never_run, ok, held, failing or interrupted; reason: why it is invalid, locked, held or failing.';

-- In PL/pgSQL, since PostgreSQL checks the body of a SQL function before the function exists.
CREATE FUNCTION contactsync.undone_by(folder_id bigint, run_id bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT max(u.run_id) FROM contactsync.sync_runs AS u
            WHERE u.folder_id = undone_by.folder_id AND u.undoes = undone_by.run_id
              AND contactsync.undone_by(u.folder_id, u.run_id) IS NULL);
END;
$$;

COMMENT ON FUNCTION contactsync.undone_by IS 'The run that undid this run. Null if its changes count: it was not undone, or its undo was undone itself.';

CREATE INDEX sync_runs_undoing ON contactsync.sync_runs (folder_id, undoes) WHERE undoes IS NOT NULL;

CREATE OR REPLACE FUNCTION contactsync.password_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT has_column_privilege('contactsync.sync_definitions', 'password_ref', 'UPDATE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'This definition refers to a password, and this edit could send it to another server or unprotected.',
            HINT = 'Only a role with the right to write password_ref may change query, bind_user, auth and the TLS columns here.';
    END IF;
    RETURN NEW;
END;
$$;

COMMENT ON TABLE contactsync.sync_definitions IS 'What fills a folder: query, user, password, schedule and more. Null means the default of settings.toml.';
COMMENT ON COLUMN contactsync.sync_definitions.query IS 'A server, an ldap:// URL, or an LDAP:// path, as it was entered.';
COMMENT ON COLUMN contactsync.sync_definitions.password_sealed IS 'Encrypted with a key outside of the database. Valid for this row, its servers, user and TLS settings only.';
COMMENT ON COLUMN contactsync.sync_definitions.password_ref IS 'A reference to the password: env:NAME, file:PATH or credential:NAME.';
COMMENT ON COLUMN contactsync.sync_definitions.auth IS 'How the daemon authenticates: simple (user and password, or anonymously), kerberos, or external (the client certificate).';
COMMENT ON COLUMN contactsync.sync_definitions.tls_minimum IS 'The oldest accepted version of TLS. Null means 1.2.';
COMMENT ON COLUMN contactsync.sync_definitions.tls_ca_pem IS 'The trusted certificate authorities as PEM text, in place of a file on the machine of the daemon.';
COMMENT ON COLUMN contactsync.sync_definitions.tls_client_cert IS 'A PEM file on the machine of the daemon: the client certificate and its intermediate certificates.';
COMMENT ON COLUMN contactsync.sync_definitions.tls_client_key IS 'The PEM file of its private key, unencrypted. Null if tls_client_cert contains it.';

COMMENT ON TABLE contactsync.sync_status IS 'The daemon''s data about a definition. In a table of its own, so that writing it is not an edit of the definition.';
COMMENT ON COLUMN contactsync.sync_status.state IS 'valid; invalid: the definition does not run until it is edited; locked: the directory refused the user or the password, and only an edit or a requested run tries again. See also definition_overview.';
COMMENT ON COLUMN contactsync.sync_status.requested_at IS 'When request_sync was last called. A run that started later answers the request when it has ended.';
COMMENT ON COLUMN contactsync.sync_status.source_digest IS 'Digest of the servers, base, scope, filter and identity that last filled the folder. If it changes, deletions need an approval.';
COMMENT ON COLUMN contactsync.sync_status.mapping_digest IS 'Digest of the mapping that the contacts were made with. If it changes, all entries are mapped again.';

COMMENT ON COLUMN contactsync.contacts.fingerprint IS 'Digest of the entry''s octets (16 bytes). 8 bytes if a person has edited the contact since, so that the next run compares it.';
COMMENT ON COLUMN contactsync.contacts.emails IS 'The preferred value comes first, as in all lists.';
COMMENT ON TABLE contactsync.contact_photos IS 'The photos, apart from the contacts to keep those small. contacts.photo_digest is null for a contact without one.';
COMMENT ON TABLE contactsync.departed_contacts IS 'The ids of deleted contacts. A contact that returns gets its old id.';

COMMENT ON TABLE contactsync.sync_runs IS 'One row for each run. outcome is null until it is known, finished_at while the run goes on. A held run counts its planned changes.';
COMMENT ON COLUMN contactsync.sync_runs.search_references IS 'The number of search references (referrals) of the server. They are never followed.';
COMMENT ON COLUMN contactsync.sync_runs.undoes IS 'The run that this run undid.';
COMMENT ON COLUMN contactsync.sync_runs.source_digest IS 'Digest of the source that the run brought the folder in sync with. Null if it applied nothing.';
COMMENT ON COLUMN contactsync.sync_runs.mapping_digest IS 'Digest of the mapping that the run applied. Null if it applied nothing.';
COMMENT ON TABLE contactsync.contact_changes IS 'Per run and contact: the changed fields, as {"field": [before, after]}. Null for an insert; the contact itself has the values.';
COMMENT ON TABLE contactsync.rejected_entries IS 'Directory entries that could not become contacts, per run.';
COMMENT ON FUNCTION contactsync.request_sync IS 'Requests a run of all definitions of a folder, except paused ones, and returns their number. A daemon that is down runs them later.';

COMMENT ON TABLE contactsync.held_plans IS 'The plan of each held run, and the decision about it. An approval allows one later run to delete the contacts in the plan, and no others.';
COMMENT ON COLUMN contactsync.held_plans.revision IS 'The revision of the definition. An edit makes the plan void.';
COMMENT ON COLUMN contactsync.held_plans.deletions IS 'Digest of the ids of the contacts to delete. Plans with the same digest need the same approval.';
COMMENT ON COLUMN contactsync.held_plans.settled_by IS 'The later run that used the approval or has overtaken the plan.';
COMMENT ON TABLE contactsync.held_changes IS 'Per held run and contact: the planned changes, as {"field": [before, after]}; for an insert, all its values.';
COMMENT ON FUNCTION contactsync.filled_fields IS 'The values of an insert as changes: {"field": [null, value]} for each field with a value.';

COMMENT ON TABLE contactsync.sync_cursors IS 'The position in the directory''s changes that a definition''s contacts are in sync with. Written in the transaction of the contacts.';
COMMENT ON COLUMN contactsync.sync_cursors.kind IS 'Null, like the next three columns, if there is no cursor.';
COMMENT ON COLUMN contactsync.sync_cursors.context IS 'Digest of the search and the user. The cursor is valid for this search only.';
COMMENT ON COLUMN contactsync.sync_cursors.full_at IS 'The time of the last full run.';
COMMENT ON COLUMN contactsync.sync_cursors.reading IS 'The full run that goes on. Null if a contact was deleted in PostgreSQL since it began.';
