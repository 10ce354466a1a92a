-- Folders, what fills them, and what the daemon says about it. Every key is led by folder_id, so that the tables can
-- be partitioned or distributed by it.

CREATE TABLE contactsync.folders (
    folder_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL
                CONSTRAINT folders_name_is_plain CHECK (name = btrim(name) AND length(name) BETWEEN 1 AND 200 AND name !~ '[[:cntrl:]]'),
    owner       text
                CONSTRAINT folders_owner_is_plain CHECK (owner = btrim(owner) AND length(owner) BETWEEN 1 AND 200 AND owner !~ '[[:cntrl:]]'),
    created_at  timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE contactsync.folders IS 'Contact folders: personal (with an owner) or shared (owner is null).';

-- NULLS NOT DISTINCT would say it better, but PostgreSQL 14 does not have it.
CREATE UNIQUE INDEX folders_owner_name_key ON contactsync.folders (coalesce(owner, ''), name);

CREATE TABLE contactsync.sync_definitions (
    folder_id         bigint NOT NULL REFERENCES contactsync.folders ON DELETE CASCADE,
    definition_id     bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name              text NOT NULL DEFAULT 'directory'
                      CONSTRAINT sync_definitions_name_is_plain CHECK (name = btrim(name) AND length(name) BETWEEN 1 AND 100 AND name !~ '[[:cntrl:]]'),
    query             text NOT NULL
                      CONSTRAINT sync_definitions_query_length CHECK (length(query) BETWEEN 1 AND 4096),
    bind_user         text
                      CONSTRAINT sync_definitions_user_length CHECK (length(bind_user) BETWEEN 1 AND 1024),
    password_sealed   bytea
                      CONSTRAINT sync_definitions_password_length CHECK (octet_length(password_sealed) BETWEEN 16 AND 4096),
    password_ref      text
                      CONSTRAINT sync_definitions_password_ref_kind CHECK (password_ref ~ '^(env|file|credential):.'),
    base              text
                      CONSTRAINT sync_definitions_base_length CHECK (length(base) <= 4096),
    scope             text
                      CONSTRAINT sync_definitions_scope_known CHECK (scope IN ('base', 'one', 'sub')),
    filter            text
                      CONSTRAINT sync_definitions_filter_length CHECK (length(filter) BETWEEN 1 AND 65536),
    mapping           jsonb
                      CONSTRAINT sync_definitions_mapping_is_object CHECK (jsonb_typeof(mapping) = 'object'),
    schedule          text NOT NULL DEFAULT 'every 15m'
                      CONSTRAINT sync_definitions_schedule_length CHECK (length(schedule) BETWEEN 1 AND 200),
    time_zone         text NOT NULL DEFAULT 'UTC'
                      CONSTRAINT sync_definitions_time_zone_length CHECK (length(time_zone) BETWEEN 1 AND 100),
    jitter_seconds    integer NOT NULL DEFAULT 0
                      CONSTRAINT sync_definitions_jitter_range CHECK (jitter_seconds BETWEEN 0 AND 86400),
    tls               text NOT NULL DEFAULT 'auto'
                      CONSTRAINT sync_definitions_tls_known CHECK (tls IN ('auto', 'ldaps', 'starttls', 'none')),
    tls_verify        boolean NOT NULL DEFAULT true,
    tls_ca_file       text
                      CONSTRAINT sync_definitions_ca_file_length CHECK (length(tls_ca_file) BETWEEN 1 AND 4096),
    max_delete_count  integer
                      CONSTRAINT sync_definitions_delete_count_range CHECK (max_delete_count >= 0),
    max_delete_share  double precision
                      CONSTRAINT sync_definitions_delete_share_range CHECK (max_delete_share BETWEEN 0 AND 1),
    allow_empty       boolean NOT NULL DEFAULT false,
    deadline_seconds  integer
                      CONSTRAINT sync_definitions_deadline_range CHECK (deadline_seconds BETWEEN 1 AND 86400),
    page_size         integer
                      CONSTRAINT sync_definitions_page_size_range CHECK (page_size BETWEEN 1 AND 100000),
    enabled           boolean NOT NULL DEFAULT true,
    revision          bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (folder_id, definition_id),
    UNIQUE (folder_id, name),
    CONSTRAINT sync_definitions_one_password CHECK (password_sealed IS NULL OR password_ref IS NULL),
    CONSTRAINT sync_definitions_password_has_user CHECK (bind_user IS NOT NULL OR (password_sealed IS NULL AND password_ref IS NULL))
);

COMMENT ON TABLE contactsync.sync_definitions IS 'What fills a folder: a directory query, a user, a password, a schedule. Null means the default of settings.toml.';
COMMENT ON COLUMN contactsync.sync_definitions.query IS 'As typed: a server, an ldap:// URL, or an LDAP:// path.';
COMMENT ON COLUMN contactsync.sync_definitions.password_sealed IS 'Sealed by the command line with a key that is not in the database; bound to this row.';
COMMENT ON COLUMN contactsync.sync_definitions.password_ref IS 'Where the password is kept instead: env:NAME, file:PATH or credential:NAME.';

CREATE TABLE contactsync.sync_status (
    folder_id        bigint NOT NULL,
    definition_id    bigint NOT NULL,
    state            text NOT NULL DEFAULT 'valid' CHECK (state IN ('valid', 'invalid')),
    reason           text,
    last_run_id      bigint,
    last_outcome     text,
    last_started_at  timestamptz,
    last_success_at  timestamptz,
    next_run_at      timestamptz,
    source_digest    bytea,
    PRIMARY KEY (folder_id, definition_id),
    FOREIGN KEY (folder_id, definition_id) REFERENCES contactsync.sync_definitions (folder_id, definition_id) ON DELETE CASCADE
);

COMMENT ON TABLE contactsync.sync_status IS 'What the daemon last found out about a definition. Apart from sync_definitions, so that writing it looks like no edit.';
COMMENT ON COLUMN contactsync.sync_status.source_digest IS 'Stands for the servers, base, scope, filter and identity that last filled the folder; another one may not delete unseen.';

CREATE FUNCTION contactsync.definition_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

CREATE TRIGGER sync_definitions_edited BEFORE UPDATE ON contactsync.sync_definitions
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION contactsync.definition_edited();

CREATE FUNCTION contactsync.announce_definition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('contactsync_definitions', coalesce(NEW.definition_id, OLD.definition_id)::text);
    RETURN NULL;
END;
$$;

CREATE TRIGGER sync_definitions_announced AFTER INSERT OR UPDATE OR DELETE ON contactsync.sync_definitions
    FOR EACH ROW EXECUTE FUNCTION contactsync.announce_definition();

CREATE FUNCTION contactsync.announce_folder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('contactsync_definitions', d.definition_id::text)
    FROM contactsync.sync_definitions AS d WHERE d.folder_id = NEW.folder_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER folders_announced AFTER UPDATE ON contactsync.folders
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION contactsync.announce_folder();
