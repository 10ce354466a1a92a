-- Which values a run dropped or changed: a number did not say whose photo is missing.
CREATE TABLE contactsync.trimmed_values (
    folder_id   bigint NOT NULL,
    run_id      bigint NOT NULL,
    dn          text NOT NULL,
    source_key  text NOT NULL,
    fingerprint bytea NOT NULL,
    field       text NOT NULL,
    reason      text NOT NULL
);

COMMENT ON TABLE contactsync.trimmed_values IS 'The first values of directory entries that a run dropped or changed, per run. Fingerprint is that of the entry.';

CREATE INDEX trimmed_values_by_run ON contactsync.trimmed_values (folder_id, run_id);
CREATE INDEX trimmed_values_by_key ON contactsync.trimmed_values (folder_id, source_key);

CREATE OR REPLACE FUNCTION contactsync.runs_forgotten() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM contactsync.contact_changes AS c USING forgotten AS f WHERE c.folder_id = f.folder_id AND c.run_id = f.run_id;
    DELETE FROM contactsync.rejected_entries AS r USING forgotten AS f WHERE r.folder_id = f.folder_id AND r.run_id = f.run_id;
    DELETE FROM contactsync.trimmed_values AS t USING forgotten AS f WHERE t.folder_id = f.folder_id AND t.run_id = f.run_id;
    RETURN NULL;
END;
$$;
