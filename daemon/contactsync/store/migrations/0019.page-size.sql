-- A definition may turn paging off: some servers offer it and ignore it.
ALTER TABLE contactsync.sync_definitions
    DROP CONSTRAINT sync_definitions_page_size_range,
    ADD CONSTRAINT sync_definitions_page_size_range CHECK (page_size BETWEEN 0 AND 100000);
