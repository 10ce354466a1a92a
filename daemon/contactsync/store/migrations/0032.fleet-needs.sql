-- What a definition needs of a machine, and which nodes of a fleet do not have it.

CREATE TABLE contactsync.fleet_unable (
    definition_id bigint NOT NULL,
    node_id       bigint NOT NULL REFERENCES contactsync.fleet_nodes ON DELETE CASCADE,
    revision      bigint NOT NULL,
    reason        text NOT NULL,
    noted_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (definition_id, node_id)
);

COMMENT ON TABLE contactsync.fleet_unable IS 'Definitions that a node leaves to others, since it cannot open the password or lacks a file. Valid for this revision and until the node''s end. Empty without [fleet].';
