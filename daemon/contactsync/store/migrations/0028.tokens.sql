-- Tokens: programs on other machines use the API with them.

CREATE TABLE contactsync.tokens (
    token_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    digest        bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    rights        text[] NOT NULL CHECK (cardinality(rights) > 0 AND rights <@ ARRAY['read', 'sync', 'edit', 'decide']),
    everything    boolean NOT NULL,
    folders       text[] NOT NULL DEFAULT '{}',
    owners        text[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text NOT NULL,
    last_used_at  timestamptz,
    expires_at    timestamptz,
    revoked_at    timestamptz,
    revoked_by    text,
    -- The scope is written twice, so that no slip turns a limited token into one for everything.
    CONSTRAINT tokens_scope CHECK (everything = (cardinality(folders) = 0 AND cardinality(owners) = 0))
);

CREATE UNIQUE INDEX tokens_name ON contactsync.tokens (name) WHERE revoked_at IS NULL;

COMMENT ON TABLE contactsync.tokens IS 'Tokens of programs that use the API over TLS. A revoked token is kept, and its name can be used again.';
COMMENT ON COLUMN contactsync.tokens.digest IS 'SHA-256 of the token. The token itself is stored nowhere.';
COMMENT ON COLUMN contactsync.tokens.rights IS 'read, sync, edit, decide: each on its own.';
COMMENT ON COLUMN contactsync.tokens.everything IS 'Whether it is for all folders. Otherwise for those of folders and owners.';
COMMENT ON COLUMN contactsync.tokens.folders IS 'Labels of folders, which need not exist: Staff, or anna/Private for a personal folder.';
COMMENT ON COLUMN contactsync.tokens.owners IS 'Owners whose personal folders it is for, also future ones.';
COMMENT ON COLUMN contactsync.tokens.last_used_at IS 'When it was last used, to a minute.';
COMMENT ON COLUMN contactsync.tokens.expires_at IS 'When it expires; null: never.';

COMMENT ON COLUMN contactsync.audit.actor_kind IS 'How the actor was identified: unix (an account of the machine), token (of a program) or sql (a role of PostgreSQL).';
COMMENT ON COLUMN contactsync.audit.action IS 'definition.added, .edited, .removed, .paused or .resumed; folder.edited; password.set or .cleared; run.approved, .rejected, .undone or .cancelled; sync.requested; token.added or .revoked.';
