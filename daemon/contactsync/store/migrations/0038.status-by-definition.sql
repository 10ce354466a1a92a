-- The daemon asks for a thousand states by their definitions, without reading all of 100,000.
-- serves: 0034

CREATE INDEX sync_status_definition ON contactsync.sync_status (definition_id);
