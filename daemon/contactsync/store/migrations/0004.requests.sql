-- A run on demand from SQL, for the application that has a "Synchronize with LDAP" menu.

ALTER TABLE contactsync.sync_status ADD COLUMN requested_at timestamptz;

COMMENT ON COLUMN contactsync.sync_status.requested_at IS 'When a run was last asked for by request_sync; done when last_started_at is later.';

CREATE FUNCTION contactsync.request_sync(folder text, owner text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    wanted CONSTANT bigint := (SELECT f.folder_id FROM contactsync.folders AS f
                               WHERE f.name = request_sync.folder AND f.owner IS NOT DISTINCT FROM request_sync.owner);
    requested integer;
BEGIN
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'There is no folder "%"%.', folder, coalesce(' of ' || owner, '')
            USING ERRCODE = 'no_data_found', HINT = 'See contactsync.folders; a personal folder needs its owner as well.';
    END IF;
    -- Not now(), which is when the caller's transaction began: a run that started since would count as an answer.
    INSERT INTO contactsync.sync_status AS s (folder_id, definition_id, requested_at)
    SELECT d.folder_id, d.definition_id, clock_timestamp()
    FROM contactsync.sync_definitions AS d WHERE d.folder_id = wanted AND d.enabled
    ON CONFLICT (folder_id, definition_id) DO UPDATE SET requested_at = excluded.requested_at;
    GET DIAGNOSTICS requested = ROW_COUNT;
    -- "Look into the table", which makes one run of what a rescan may have found there already.
    PERFORM pg_notify('contactsync_requests', ':requested');
    RETURN requested;
END;
$$;

COMMENT ON FUNCTION contactsync.request_sync IS 'Has the daemon run the definitions of a folder soon, also when it is down just now; returns how many. Paused ones are left out.';
