-- A request by the API is a ticket too. The daemon audits it, with one row for a request of all definitions.

ALTER TABLE contactsync.sync_requests ADD COLUMN actor text;

COMMENT ON TABLE contactsync.sync_requests IS 'The requests of request_sync and of the API: one row for each ticket and definition. Answered requests are kept for a week.';
COMMENT ON COLUMN contactsync.sync_requests.actor IS 'The user of the API; null for a request by SQL. Only the daemon can write it.';

DROP TRIGGER sync_requests_audited ON contactsync.sync_requests;
CREATE TRIGGER sync_requests_audited AFTER INSERT ON contactsync.sync_requests
    FOR EACH ROW WHEN (NEW.actor IS NULL AND NOT contactsync.restoring()) EXECUTE FUNCTION contactsync.audit_request();

CREATE FUNCTION contactsync.cancel_request(ticket bigint, one bigint, why text) RETURNS SETOF bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    definition bigint;
BEGIN
    FOR definition IN
        UPDATE contactsync.sync_requests AS q SET reason = why, finished_at = clock_timestamp()
        WHERE q.request_id = ticket AND q.run_id IS NULL AND q.finished_at IS NULL
          AND (one IS NULL OR q.definition_id = one)
        RETURNING q.definition_id
    LOOP
        PERFORM contactsync.announce_answer(ARRAY[ticket], jsonb_build_object(
            'definition_id', definition, 'run_id', NULL, 'outcome', 'withdrawn', 'error_code', NULL));
        RETURN NEXT definition;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION contactsync.cancel_request IS 'Withdraws a ticket where no run has taken it yet, for all its definitions or only one. Returns these definitions.';
