-- Several daemons share one set of definitions: who they are, what they tell each other, and which one made a run.

CREATE TABLE contactsync.fleet_nodes (
    node_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,40}$'),
    token        text NOT NULL,
    version      text NOT NULL,
    key_id       text NOT NULL,
    worker_id    bigint,
    joined_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    leads        boolean NOT NULL DEFAULT false,
    draining     boolean NOT NULL DEFAULT false,
    running      integer NOT NULL DEFAULT 0,
    listening    integer NOT NULL DEFAULT 0,
    ended_at     timestamptz,
    died         boolean NOT NULL DEFAULT false,
    settled      boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX fleet_nodes_alive ON contactsync.fleet_nodes (name) WHERE ended_at IS NULL;

COMMENT ON TABLE contactsync.fleet_nodes IS 'The daemons that share the definitions of this database, one row from a join to its end. Empty without [fleet].';
COMMENT ON COLUMN contactsync.fleet_nodes.token IS 'A random part of the application_name of the sessions of this process.';
COMMENT ON COLUMN contactsync.fleet_nodes.key_id IS 'Identifies its key for passwords, which is the same on all nodes.';
COMMENT ON COLUMN contactsync.fleet_nodes.worker_id IS 'Its worker in the queue.';
COMMENT ON COLUMN contactsync.fleet_nodes.leads IS 'Whether it runs the schedule of all definitions.';
COMMENT ON COLUMN contactsync.fleet_nodes.draining IS 'Whether it starts no more runs.';
COMMENT ON COLUMN contactsync.fleet_nodes.died IS 'Whether others ended it, because it gave no more signs of life.';
COMMENT ON COLUMN contactsync.fleet_nodes.settled IS 'Whether the runs of a node that died were closed and requested again.';

CREATE TABLE contactsync.fleet_messages (
    message_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_node     bigint NOT NULL,
    to_node       bigint,
    kind          text NOT NULL,
    definition_id bigint,
    job_id        bigint,
    reference     bigint,
    body          jsonb,
    sent_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX fleet_messages_to ON contactsync.fleet_messages (to_node) WHERE to_node IS NOT NULL;
CREATE INDEX fleet_messages_awaiting ON contactsync.fleet_messages (definition_id) WHERE kind = 'await';

COMMENT ON TABLE contactsync.fleet_messages IS 'What nodes of a fleet tell each other, and which runs they await. The receiver deletes a row. Empty without [fleet].';
COMMENT ON COLUMN contactsync.fleet_messages.to_node IS 'The receiver; null while a run is awaited.';
COMMENT ON COLUMN contactsync.fleet_messages.job_id IS 'The job in the queue that makes the awaited run.';
COMMENT ON COLUMN contactsync.fleet_messages.reference IS 'The message that this one answers.';

CREATE TABLE contactsync.refused_logons (
    digest     bytea PRIMARY KEY,
    reason     text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE contactsync.refused_logons IS 'Users and passwords that directories have refused, so that no node of a fleet offers them again. Empty without [fleet].';
COMMENT ON COLUMN contactsync.refused_logons.digest IS 'Of server, user and password, with a key that is not in the database.';

COMMENT ON COLUMN contactsync.audit.action IS 'definition.added, .edited, .removed, .paused or .resumed; folder.edited; password.set or .cleared; run.approved, .rejected, .undone or .cancelled; sync.requested or .cancelled; node.drained or .resumed.';

ALTER TABLE contactsync.sync_runs ADD COLUMN node text;
-- The sessions of a node have its name in their application_name.
ALTER TABLE contactsync.sync_runs
    ALTER COLUMN node SET DEFAULT substring(current_setting('application_name') FROM '^contactsync ([^ ]+) [0-9a-f]+$');
COMMENT ON COLUMN contactsync.sync_runs.node IS 'The daemon that made the run, by its name in the fleet. Null without a fleet.';
