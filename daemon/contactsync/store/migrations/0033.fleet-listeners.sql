-- Which node of a fleet listens for live folders: each does for some of the directories and users.

CREATE TABLE contactsync.fleet_listeners (
    listener  text PRIMARY KEY,
    node_id   bigint NOT NULL,
    wanted_by bigint
);

COMMENT ON TABLE contactsync.fleet_listeners IS 'The node that listens for live folders, for each directory server and user. Empty without [fleet].';
COMMENT ON COLUMN contactsync.fleet_listeners.listener IS 'A directory server and a user.';
COMMENT ON COLUMN contactsync.fleet_listeners.wanted_by IS 'A node that has less to listen for, to which this one is to be handed over.';
