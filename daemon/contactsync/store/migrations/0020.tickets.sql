-- A request by SQL gets a ticket. Its rows say which run answers it and how that run ended.

CREATE SEQUENCE contactsync.request_ids;

-- Without foreign keys: a request for a definition that is deleted still gets its answer.
CREATE TABLE contactsync.sync_requests (
    request_id     bigint NOT NULL DEFAULT nextval('contactsync.request_ids'),
    folder_id      bigint NOT NULL,
    definition_id  bigint NOT NULL,
    requested_by   name NOT NULL DEFAULT current_user,
    requested_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id         bigint,
    outcome        text,
    error_code     text,
    reason         text,
    finished_at    timestamptz,
    state          text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN finished_at IS NULL AND run_id IS NULL THEN 'queued'
             WHEN finished_at IS NULL THEN 'running'
             WHEN run_id IS NULL THEN 'withdrawn'
             ELSE 'done' END) STORED,
    PRIMARY KEY (request_id, definition_id)
);

CREATE INDEX sync_requests_unfinished ON contactsync.sync_requests (definition_id) WHERE finished_at IS NULL;
CREATE INDEX sync_requests_finished ON contactsync.sync_requests (finished_at) WHERE finished_at IS NOT NULL;

COMMENT ON TABLE contactsync.sync_requests IS 'The requests of request_sync: one row for each ticket and definition. Answered requests are kept for a week.';
COMMENT ON COLUMN contactsync.sync_requests.state IS 'queued; running: the run run_id has started; done: that run has ended; withdrawn: no run will answer, and reason says why.';
COMMENT ON COLUMN contactsync.sync_requests.outcome IS 'The outcome of the run. Null until it has ended, and if the request was withdrawn.';
COMMENT ON COLUMN contactsync.sync_requests.reason IS 'The error of the run, or why it is on hold, or why the request was withdrawn.';

-- Each role sees its own requests. The owner of the tables sees all; roles.sql adds the daemon.
ALTER TABLE contactsync.sync_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON contactsync.sync_requests USING (requested_by = current_user)
    WITH CHECK (requested_by = current_user AND EXISTS (
        SELECT FROM contactsync.sync_definitions AS d
        WHERE d.folder_id = sync_requests.folder_id AND d.definition_id = sync_requests.definition_id));

-- A run that starts answers all requests that were committed before, since it has not read the directory yet.
CREATE FUNCTION contactsync.requests_taken() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE contactsync.sync_requests AS q SET run_id = NEW.run_id
    WHERE q.definition_id = NEW.definition_id AND q.folder_id = NEW.folder_id
      AND q.finished_at IS NULL AND q.run_id IS NULL;
    RETURN NULL;
END;
$$;

CREATE TRIGGER sync_runs_take_requests AFTER INSERT ON contactsync.sync_runs
    FOR EACH ROW WHEN (NEW.finished_at IS NULL) EXECUTE FUNCTION contactsync.requests_taken();

-- A payload is limited to 8,000 bytes: many tickets make several notifications.
CREATE FUNCTION contactsync.announce_answer(tickets bigint[], answer jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    FOR start_at IN 1 .. greatest(cardinality(tickets), 1) BY 300 LOOP
        PERFORM pg_notify('contactsync_runs',
            (jsonb_build_object('request_ids', to_jsonb(tickets[start_at : start_at + 299])) || answer)::text);
    END LOOP;
END;
$$;

CREATE FUNCTION contactsync.requests_answered() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tickets bigint[];
BEGIN
    WITH answered AS (
        UPDATE contactsync.sync_requests AS q
        SET outcome = NEW.outcome, error_code = NEW.error_code, reason = coalesce(NEW.error, NEW.held_reason),
            finished_at = clock_timestamp()
        WHERE q.definition_id = NEW.definition_id AND q.folder_id = NEW.folder_id AND q.run_id = NEW.run_id
          AND q.finished_at IS NULL
        RETURNING q.request_id
    )
    SELECT coalesce(array_agg(request_id ORDER BY request_id), '{}') INTO tickets FROM answered;
    IF cardinality(tickets) > 0 OR NEW.trigger IN ('manual', 'request') THEN
        PERFORM contactsync.announce_answer(tickets, jsonb_build_object(
            'definition_id', NEW.definition_id, 'run_id', NEW.run_id, 'outcome', NEW.outcome,
            'inserted', NEW.inserted, 'updated', NEW.updated, 'deleted', NEW.deleted, 'unchanged', NEW.unchanged,
            'rejected', NEW.rejected, 'error_code', NEW.error_code));
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER sync_runs_answer_requests AFTER UPDATE ON contactsync.sync_runs
    FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION contactsync.requests_answered();

CREATE FUNCTION contactsync.withdraw_requests(definition bigint, why text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tickets bigint[];
BEGIN
    WITH withdrawn AS (
        UPDATE contactsync.sync_requests AS q SET reason = why, finished_at = clock_timestamp()
        WHERE q.definition_id = definition AND q.run_id IS NULL AND q.finished_at IS NULL
        RETURNING q.request_id
    )
    SELECT array_agg(request_id ORDER BY request_id) INTO tickets FROM withdrawn;
    IF tickets IS NOT NULL THEN
        PERFORM contactsync.announce_answer(tickets, jsonb_build_object(
            'definition_id', definition, 'run_id', NULL, 'outcome', 'withdrawn', 'error_code', NULL));
    END IF;
END;
$$;

COMMENT ON FUNCTION contactsync.withdraw_requests IS 'Withdraws the requests of a definition that no run has taken yet, with the reason.';

CREATE FUNCTION contactsync.definition_stopped() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM contactsync.withdraw_requests(OLD.definition_id,
        CASE TG_OP WHEN 'DELETE' THEN 'The definition was deleted.' ELSE 'The definition was paused.' END);
    RETURN NULL;
END;
$$;

CREATE TRIGGER sync_definitions_deleted AFTER DELETE ON contactsync.sync_definitions
    FOR EACH ROW EXECUTE FUNCTION contactsync.definition_stopped();
CREATE TRIGGER sync_definitions_paused AFTER UPDATE ON contactsync.sync_definitions
    FOR EACH ROW WHEN (OLD.enabled AND NOT NEW.enabled) EXECUTE FUNCTION contactsync.definition_stopped();

DROP FUNCTION contactsync.request_sync(text, text);
CREATE FUNCTION contactsync.request_sync(folder text, owner text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    requested CONSTANT bigint := (SELECT f.folder_id FROM contactsync.folders AS f
                                  WHERE f.name = request_sync.folder AND f.owner IS NOT DISTINCT FROM request_sync.owner);
    ticket bigint;
BEGIN
    IF requested IS NULL THEN
        RAISE EXCEPTION 'There is no folder "%"%.', folder, coalesce(' of ' || owner, '')
            USING ERRCODE = 'no_data_found', HINT = 'See contactsync.folders; a personal folder needs its owner as well.';
    END IF;
    IF NOT EXISTS (SELECT FROM contactsync.sync_definitions AS d WHERE d.folder_id = requested AND d.enabled) THEN
        RETURN NULL;
    END IF;
    ticket := nextval('contactsync.request_ids');
    INSERT INTO contactsync.sync_requests (request_id, folder_id, definition_id)
    SELECT ticket, d.folder_id, d.definition_id
    FROM contactsync.sync_definitions AS d WHERE d.folder_id = requested AND d.enabled;
    -- "Read the open requests". The daemon also reads them when it starts.
    PERFORM pg_notify('contactsync_requests', ':requested');
    RETURN ticket;
END;
$$;

COMMENT ON FUNCTION contactsync.request_sync IS 'Requests a run of all definitions of a folder, except paused ones. Returns the ticket, the request_id in sync_requests; null if all are paused. A daemon that is down runs them later.';

INSERT INTO contactsync.sync_requests (folder_id, definition_id, requested_at)
SELECT s.folder_id, s.definition_id, s.requested_at
FROM contactsync.sync_status AS s JOIN contactsync.sync_definitions AS d USING (folder_id, definition_id)
WHERE d.enabled AND s.requested_at > coalesce(s.last_started_at, '-infinity');

ALTER TABLE contactsync.sync_status DROP COLUMN requested_at;
