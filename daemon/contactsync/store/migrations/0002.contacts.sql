-- The contacts themselves. The field columns are those of contactsync/fields.py; vCard's (RFC 6350) names where it has one.

CREATE SEQUENCE contactsync.contact_ids AS bigint;

CREATE TABLE contactsync.contacts (
    folder_id         bigint NOT NULL REFERENCES contactsync.folders ON DELETE CASCADE,
    contact_id        bigint NOT NULL DEFAULT nextval('contactsync.contact_ids'),
    definition_id     bigint,
    source_key        text,
    source_dn         text,
    fingerprint       bytea,
    display_name      text,
    name_prefix       text,
    given_name        text,
    additional_names  text,
    family_name       text,
    name_suffix       text,
    nickname          text,
    initials          text,
    emails            text[] NOT NULL DEFAULT '{}',
    work_phones       text[] NOT NULL DEFAULT '{}',
    mobile_phones     text[] NOT NULL DEFAULT '{}',
    home_phones       text[] NOT NULL DEFAULT '{}',
    other_phones      text[] NOT NULL DEFAULT '{}',
    fax_numbers       text[] NOT NULL DEFAULT '{}',
    pagers            text[] NOT NULL DEFAULT '{}',
    ip_phones         text[] NOT NULL DEFAULT '{}',
    organization      text,
    department        text,
    title             text,
    employee_number   text,
    manager           text,
    assistant         text,
    office            text,
    street            text,
    po_box            text,
    city              text,
    region            text,
    postal_code       text,
    country           text,
    home_address      text,
    websites          text[] NOT NULL DEFAULT '{}',
    languages         text[] NOT NULL DEFAULT '{}',
    notes             text,
    photo_digest      bytea,
    extra             jsonb NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (folder_id, contact_id),
    UNIQUE (folder_id, definition_id, source_key),
    FOREIGN KEY (folder_id, definition_id) REFERENCES contactsync.sync_definitions (folder_id, definition_id) ON DELETE CASCADE,
    CONSTRAINT contacts_source_is_whole CHECK (
        (definition_id IS NULL AND source_key IS NULL AND fingerprint IS NULL)
        OR (definition_id IS NOT NULL AND source_key IS NOT NULL AND fingerprint IS NOT NULL)),
    CONSTRAINT contacts_extra_is_object CHECK (jsonb_typeof(extra) = 'object')
);

ALTER SEQUENCE contactsync.contact_ids OWNED BY contactsync.contacts.contact_id;

COMMENT ON TABLE contactsync.contacts IS 'The contacts of all folders. A row without a definition_id is a person''s own and is never written by the daemon.';
COMMENT ON COLUMN contactsync.contacts.source_key IS 'The identity of the directory entry (entryUUID, objectGUID, ...); it survives renames and moves.';
COMMENT ON COLUMN contactsync.contacts.fingerprint IS 'Digest of the entry''s octets (16 bytes); 8 bytes when a person edited the contact since, so that the next run looks again.';
COMMENT ON COLUMN contactsync.contacts.emails IS 'The preferred one first; the same holds for every other list.';

CREATE TABLE contactsync.contact_photos (
    folder_id   bigint NOT NULL,
    contact_id  bigint NOT NULL,
    digest      bytea NOT NULL,
    photo       bytea NOT NULL,
    PRIMARY KEY (folder_id, contact_id),
    FOREIGN KEY (folder_id, contact_id) REFERENCES contactsync.contacts (folder_id, contact_id) ON DELETE CASCADE
);

-- A picture is compressed already; trying again costs time and saves nothing.
ALTER TABLE contactsync.contact_photos ALTER COLUMN photo SET STORAGE EXTERNAL;

COMMENT ON TABLE contactsync.contact_photos IS 'Apart from contacts, so that reading a folder stays light. contacts.photo_digest says which have one.';

CREATE TABLE contactsync.departed_contacts (
    folder_id      bigint NOT NULL,
    definition_id  bigint NOT NULL,
    source_key     text NOT NULL,
    contact_id     bigint NOT NULL,
    departed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (folder_id, definition_id, source_key),
    FOREIGN KEY (folder_id, definition_id) REFERENCES contactsync.sync_definitions (folder_id, definition_id) ON DELETE CASCADE
);

COMMENT ON TABLE contactsync.departed_contacts IS 'The ids of contacts that are gone, for the day when one returns.';

CREATE FUNCTION contactsync.contact_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    IF NEW.definition_id IS NOT NULL AND NEW.fingerprint IS NOT DISTINCT FROM OLD.fingerprint THEN
        NEW.fingerprint := int8send(NEW.contact_id);
    END IF;
    RETURN NEW;
END;
$$;

-- The daemon switches this off for its own writes with SET LOCAL contactsync.applying.
CREATE TRIGGER contacts_edited BEFORE UPDATE ON contactsync.contacts
    FOR EACH ROW WHEN (current_setting('contactsync.applying', true) IS DISTINCT FROM 'on' AND NEW IS DISTINCT FROM OLD)
    EXECUTE FUNCTION contactsync.contact_edited();

CREATE FUNCTION contactsync.contacts_departed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO contactsync.departed_contacts (folder_id, definition_id, source_key, contact_id)
    SELECT gone.folder_id, gone.definition_id, gone.source_key, gone.contact_id
    FROM gone
    JOIN contactsync.sync_definitions AS d ON d.folder_id = gone.folder_id AND d.definition_id = gone.definition_id
    ON CONFLICT (folder_id, definition_id, source_key)
        DO UPDATE SET contact_id = excluded.contact_id, departed_at = excluded.departed_at;
    RETURN NULL;
END;
$$;

CREATE TRIGGER contacts_departed AFTER DELETE ON contactsync.contacts
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION contactsync.contacts_departed();
