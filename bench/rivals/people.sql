-- The table that each rival fills: the columns that contactsync fills too from these people, and as many indexes.
CREATE TABLE people (
    contact_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_key     uuid NOT NULL UNIQUE,
    source_dn      text NOT NULL,
    display_name   text,
    given_name     text,
    family_name    text,
    title          text,
    department     text,
    organization   text,
    street         text,
    city           text,
    region         text,
    postal_code    text,
    emails         text[] NOT NULL,
    work_phones    text[] NOT NULL,
    mobile_phones  text[] NOT NULL
);
