-- A run that would leave a field blank in too many contacts is held, too; its plan says which fields, and in how many contacts.
-- serves: 0034

ALTER TABLE contactsync.held_plans ADD COLUMN cleared jsonb NOT NULL DEFAULT '{}';

COMMENT ON COLUMN contactsync.held_plans.cleared IS 'The fields that the run would leave blank in too many contacts, as {"field": contacts}.';
COMMENT ON COLUMN contactsync.held_plans.deletions IS 'Digest of the ids to be deleted, and of the values to be cleared: two plans with the same one ask for the same approval.';
COMMENT ON TABLE contactsync.held_plans IS 'The plan of each held run, and what somebody decided. An approval lets one later run delete the contacts in the plan and clear the fields in it, and no others.';

CREATE FUNCTION contactsync.cleared_fields(changes jsonb) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE f.key WHEN 'photo_digest' THEN 'photo' ELSE f.key END
    FROM jsonb_each(changes) AS f
    WHERE f.key <> 'extra' AND f.value -> 1 IN ('null', '""', '[]') AND f.value -> 0 NOT IN ('null', '""', '[]')
    UNION ALL
    SELECT 'extra.' || e.key
    FROM jsonb_each_text(changes #> '{extra,0}') AS e
    WHERE e.value <> '' AND coalesce(changes #> '{extra,1}' ->> e.key, '') = ''
$$;

COMMENT ON FUNCTION contactsync.cleared_fields IS 'The fields that have a value before a change and none after it.';
