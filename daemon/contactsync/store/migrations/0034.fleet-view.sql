-- One view of a fleet on each node: who listens for which folder, and who wants the events of all nodes.

CREATE TABLE contactsync.fleet_live (
    node_id         bigint NOT NULL REFERENCES contactsync.fleet_nodes ON DELETE CASCADE,
    definition_id   bigint NOT NULL,
    listening_since double precision,
    reason          text,
    behind_since    double precision,
    scheduled       boolean NOT NULL,
    PRIMARY KEY (node_id, definition_id)
);

COMMENT ON TABLE contactsync.fleet_live IS 'The live folders of each node, written when their state changes. Empty without [fleet].';
COMMENT ON COLUMN contactsync.fleet_live.listening_since IS 'Unix time; null while the node does not listen for the folder, and reason says why.';
COMMENT ON COLUMN contactsync.fleet_live.behind_since IS 'When the oldest change was reported that no run has read yet.';

ALTER TABLE contactsync.fleet_nodes ADD COLUMN watching_until timestamptz;
COMMENT ON COLUMN contactsync.fleet_nodes.watching_until IS 'Until then the node wants the events of all others: it has clients that listen. Renewed.';
