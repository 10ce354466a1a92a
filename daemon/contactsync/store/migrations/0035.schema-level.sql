-- Nodes of a fleet say which migrations they know, so that no migration is applied that they could not work with.
-- serves: 0034

ALTER TABLE contactsync.fleet_nodes ADD COLUMN schema_level text;
COMMENT ON COLUMN contactsync.fleet_nodes.schema_level IS 'The number of the newest migration that its program knows.';
