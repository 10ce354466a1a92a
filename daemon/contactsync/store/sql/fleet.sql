-- name: join_fleet
-- The row of a new node and the lock that says it is alive. To be executed in a transaction, so that the row is not
-- visible before the lock is held.
WITH joined AS (
    INSERT INTO contactsync.fleet_nodes (name, token, version, schema_level, key_id)
    VALUES (%(name)s, %(token)s, %(version)s, %(schema_level)s, %(key_id)s)
    RETURNING node_id
)
SELECT node_id, pg_advisory_lock(hashtextextended('contactsync.node', node_id))::text FROM joined

-- name: other_keys
-- Living nodes with another key for passwords.
SELECT name FROM contactsync.fleet_nodes
WHERE ended_at IS NULL AND key_id <> %(key_id)s AND heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s)

-- name: living_keys
-- Living nodes by name, with the id of the key for passwords.
SELECT name, key_id FROM contactsync.fleet_nodes
WHERE ended_at IS NULL AND heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s)

-- name: database_time
SELECT extract(epoch FROM clock_timestamp())::double precision

-- name: hold_node_lock
-- Takes the lock of a node again over a new session. False if another session has it.
SELECT pg_try_advisory_lock(hashtextextended('contactsync.node', %(node_id)s))

-- name: namesake
-- The node with this name that has not ended, and whether it is alive.
SELECT node_id, token, worker_id,
       heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s)
       AND NOT pg_try_advisory_xact_lock_shared(hashtextextended('contactsync.node', node_id))
FROM contactsync.fleet_nodes WHERE name = %(name)s AND ended_at IS NULL

-- name: beat
-- A sign of life; takes the lead, if the node wants it and nobody has it, and looks for dead nodes, if it may. No row: others
-- have ended this node. Dead are nodes without a sign of life for so long, or whose session has ended, and those that another
-- heir did not settle. The time is for differences to the node's own. The last column changes with the listeners, with the
-- nodes that may have some, and with what nodes have noted that they lack.
WITH beaten AS (
    UPDATE contactsync.fleet_nodes
    SET heartbeat_at = clock_timestamp(), worker_id = %(worker_id)s, leads = %(leads)s, running = %(running)s,
        listening = %(listening)s, draining = draining OR %(leaves)s
    WHERE node_id = %(node_id)s AND ended_at IS NULL
    RETURNING draining
)
SELECT draining, extract(epoch FROM clock_timestamp())::double precision,
       %(wants_lead)s AND NOT draining AND pg_try_advisory_lock(hashtextextended('contactsync.lead', 0)),
       ARRAY(SELECT to_jsonb(d) FROM (
           SELECT node_id, name, token, worker_id FROM contactsync.fleet_nodes
           WHERE %(looks)s AND node_id <> %(node_id)s
             AND (died AND NOT settled
                  OR ended_at IS NULL AND heartbeat_at < clock_timestamp() - make_interval(secs => %(dead_seconds)s)
                  OR ended_at IS NULL AND heartbeat_at < clock_timestamp() - make_interval(secs => %(silent_seconds)s)
                     AND pg_try_advisory_xact_lock_shared(hashtextextended('contactsync.node', node_id)))) AS d),
       hashtextextended(concat_ws('|',
           (SELECT string_agg(concat_ws(' ', listener, node_id, wanted_by), ',' ORDER BY listener) FROM contactsync.fleet_listeners),
           (SELECT string_agg(node_id::text, ',' ORDER BY node_id) FROM contactsync.fleet_nodes
            WHERE ended_at IS NULL AND NOT draining),
           (SELECT concat(count(*), max(noted_at)) FROM contactsync.fleet_unable)), 0)
FROM beaten

-- name: note_lead
-- Of this node, and of no other: the one that led before may not be taken for dead yet.
UPDATE contactsync.fleet_nodes SET leads = (node_id = %(node_id)s)
WHERE ended_at IS NULL AND leads <> (node_id = %(node_id)s)

-- name: leave_lead
SELECT pg_advisory_unlock(hashtextextended('contactsync.lead', 0))

-- name: inherit
-- One heir at a time; the lock lasts until the connection returns to its pool.
SELECT pg_try_advisory_lock(hashtextextended('contactsync.heir', %(node_id)s))

-- name: await_heir
-- The same after another heir, which may wait for the end of sessions.
SELECT pg_advisory_lock(hashtextextended('contactsync.heir', %(node_id)s))::text

-- name: end_node
-- From now on the node may begin no run, even if it wakes up.
UPDATE contactsync.fleet_nodes SET ended_at = coalesce(ended_at, clock_timestamp()), died = true, leads = false
WHERE node_id = %(node_id)s AND NOT settled

-- name: settle_node
-- The node is ended: no other one needs its messages, and it awaits no runs.
WITH unread AS (
    DELETE FROM contactsync.fleet_messages WHERE to_node = %(node_id)s OR kind = 'await' AND from_node = %(node_id)s
)
UPDATE contactsync.fleet_nodes SET settled = true, running = 0, listening = 0 WHERE node_id = %(node_id)s

-- name: leave_fleet
WITH unread AS (
    DELETE FROM contactsync.fleet_messages WHERE to_node = %(node_id)s OR kind = 'await' AND from_node = %(node_id)s
)
UPDATE contactsync.fleet_nodes
SET ended_at = clock_timestamp(), leads = false, settled = true, running = 0, listening = 0
WHERE node_id = %(node_id)s AND ended_at IS NULL

-- name: end_sessions
-- Ends the sessions of a process, and counts those that are still there.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %(application_name)s AND pid <> pg_backend_pid()

-- name: forget_nodes
-- Nodes that ended a week ago, messages that no node has taken, and passwords that were refused a month ago.
WITH forgotten AS (
    DELETE FROM contactsync.fleet_messages WHERE sent_at < now() - interval '1 day'
), offered_again AS (
    DELETE FROM contactsync.refused_logons WHERE refused_at < now() - interval '30 days'
)
DELETE FROM contactsync.fleet_nodes WHERE settled AND ended_at < now() - interval '7 days'

-- name: nodes_named
SELECT node_id, name, token, worker_id,
       ended_at IS NULL AND heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s)
FROM contactsync.fleet_nodes WHERE name = %(name)s

-- name: forget_node
DELETE FROM contactsync.fleet_nodes WHERE name = %(name)s AND ended_at IS NOT NULL

-- name: watch_events
UPDATE contactsync.fleet_nodes SET watching_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE node_id = %(node_id)s

-- name: watchers
-- The other nodes that want the events of this one.
SELECT node_id FROM contactsync.fleet_nodes
WHERE watching_until > clock_timestamp() AND ended_at IS NULL AND node_id <> %(node_id)s

-- name: send_events
WITH sent AS (
    INSERT INTO contactsync.fleet_messages (from_node, to_node, kind, body)
    SELECT %(from_node)s, w.watcher, 'events', %(body)s FROM unnest(%(watchers)s::bigint[]) AS w (watcher)
    RETURNING to_node
)
SELECT pg_notify('contactsync_fleet', to_node::text) FROM sent

-- name: set_live
-- Adds and changes the states of live folders of a node, and removes those that are not live there any more, or whose node
-- has ended.
WITH gone AS (
    DELETE FROM contactsync.fleet_live AS l
    WHERE l.node_id = %(node_id)s AND l.definition_id = ANY (%(gone)s)
       OR NOT EXISTS (SELECT FROM contactsync.fleet_nodes AS n WHERE n.node_id = l.node_id AND n.ended_at IS NULL)
)
INSERT INTO contactsync.fleet_live (node_id, definition_id, listening_since, reason, behind_since, scheduled)
SELECT %(node_id)s, s.* FROM jsonb_to_recordset(%(states)s) AS s (
    definition_id bigint, listening_since double precision, reason text, behind_since double precision, scheduled boolean)
WHERE EXISTS (SELECT FROM contactsync.fleet_nodes WHERE node_id = %(node_id)s AND ended_at IS NULL)
ON CONFLICT (node_id, definition_id) DO UPDATE
SET listening_since = excluded.listening_since, reason = excluded.reason, behind_since = excluded.behind_since,
    scheduled = excluded.scheduled

-- name: live_elsewhere
-- The live folders of the other living nodes.
SELECT l.definition_id, l.listening_since, l.reason, l.behind_since, l.scheduled
FROM contactsync.fleet_live AS l JOIN contactsync.fleet_nodes AS n USING (node_id)
WHERE n.ended_at IS NULL AND n.node_id <> %(node_id)s
ORDER BY l.listening_since NULLS FIRST

-- name: note_unable
-- Notes that a node cannot make the runs of a definition in this revision; returns the definition's label, unless that was
-- noted before.
WITH noted AS (
    INSERT INTO contactsync.fleet_unable (definition_id, node_id, revision, reason)
    VALUES (%(definition_id)s, %(node_id)s, %(revision)s, %(reason)s)
    ON CONFLICT (definition_id, node_id) DO UPDATE
    SET revision = excluded.revision, reason = excluded.reason, noted_at = excluded.noted_at
    WHERE fleet_unable.revision <> excluded.revision
    RETURNING 1
)
SELECT label FROM contactsync.definition_overview WHERE definition_id = %(definition_id)s AND EXISTS (SELECT FROM noted)

-- name: unable_nodes
-- What living nodes have noted.
SELECT u.node_id, u.definition_id, u.revision
FROM contactsync.fleet_unable AS u JOIN contactsync.fleet_nodes AS n ON n.node_id = u.node_id AND n.ended_at IS NULL

-- name: living_nodes
-- Living nodes, those with the fewest runs first, and whether each has noted that it cannot make the runs of a definition.
SELECT n.name, n.draining, EXISTS (
    SELECT FROM contactsync.fleet_unable AS u
    WHERE u.node_id = n.node_id AND u.definition_id = %(definition_id)s AND u.revision = %(revision)s)
FROM contactsync.fleet_nodes AS n
WHERE n.ended_at IS NULL AND n.heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s)
ORDER BY n.running, n.name

-- name: forget_unable
-- Of one node, or of one definition on all nodes: they try again.
DELETE FROM contactsync.fleet_unable
WHERE true
  AND definition_id = %(definition_id)s -- if definition_id
  AND node_id = %(node_id)s -- if node_id

-- name: unable
-- What living nodes leave to others, by definition.
SELECT u.definition_id, o.label, n.name AS node, u.reason, u.noted_at
FROM contactsync.fleet_unable AS u
JOIN contactsync.fleet_nodes AS n ON n.node_id = u.node_id AND n.ended_at IS NULL
JOIN contactsync.definition_overview AS o ON o.definition_id = u.definition_id AND o.revision = u.revision
ORDER BY o.label, n.name
LIMIT %(limit)s

-- name: recall_jobs
-- Jobs that were left to a node that is gone or draining are for all nodes again. It looks at each name of a queue, and not
-- at each job.
WITH RECURSIVE queues AS (
    (SELECT queue_name FROM contactsync_queue.procrastinate_jobs ORDER BY queue_name LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue_name FROM contactsync_queue.procrastinate_jobs AS j
            WHERE j.queue_name > q.queue_name ORDER BY j.queue_name LIMIT 1)
    FROM queues AS q WHERE q.queue_name IS NOT NULL
)
UPDATE contactsync_queue.procrastinate_jobs SET queue_name = %(queue)s
WHERE status = 'todo' AND queue_name = ANY (ARRAY(
    SELECT q.queue_name FROM queues AS q
    WHERE q.queue_name <> %(queue)s AND NOT EXISTS (
        SELECT FROM contactsync.fleet_nodes AS n
        WHERE q.queue_name = %(queue)s || '@' || n.name AND n.ended_at IS NULL AND NOT n.draining
          AND n.heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s))))

-- name: await_run
INSERT INTO contactsync.fleet_messages (from_node, kind, definition_id, body)
VALUES (%(node_id)s, 'await', %(definition_id)s, %(body)s)
RETURNING message_id

-- name: answer_awaiting
-- Sends the end of a run to those that await it: of one job, or of a definition whose request was withdrawn.
WITH answered AS (
    UPDATE contactsync.fleet_messages
    SET to_node = from_node, kind = 'answer', reference = message_id, body = %(body)s
    WHERE kind = 'await' AND definition_id = %(definition_id)s AND job_id IS NOT DISTINCT FROM %(job_id)s
    RETURNING to_node
)
SELECT pg_notify('contactsync_fleet', to_node::text) FROM answered

-- name: release_awaiting
-- The run of a job ended with its node; the next one of the definition answers.
UPDATE contactsync.fleet_messages SET job_id = NULL WHERE kind = 'await' AND job_id = ANY (%(job_ids)s)

-- name: send_message
WITH sent AS (
    INSERT INTO contactsync.fleet_messages (from_node, to_node, kind, definition_id, reference, body)
    VALUES (%(from_node)s, %(to_node)s, %(kind)s, %(definition_id)s, %(reference)s, %(body)s)
    RETURNING message_id
)
SELECT message_id, pg_notify('contactsync_fleet', (%(to_node)s::bigint)::text)::text FROM sent

-- name: take_messages
DELETE FROM contactsync.fleet_messages WHERE to_node = %(node_id)s
RETURNING message_id, from_node, kind, definition_id, reference, body

-- name: tell_listener
-- Sends a message to the node that listens for a definition, if there is one.
WITH sent AS (
    INSERT INTO contactsync.fleet_messages (from_node, to_node, kind, definition_id, body)
    SELECT %(from_node)s, node_id, 'run', %(definition_id)s, %(body)s
    FROM contactsync.fleet_listeners JOIN contactsync.fleet_nodes AS n USING (node_id)
    WHERE listener = %(listener)s AND n.ended_at IS NULL
    RETURNING to_node
)
SELECT pg_notify('contactsync_fleet', to_node::text) FROM sent

-- name: begin_sharing
-- Nodes share the listeners one after another; to be executed in a transaction.
SELECT pg_advisory_xact_lock(hashtextextended('contactsync.listeners', 0))

-- name: forget_listeners
-- Frees what nodes listened for that have ended, and forgets the wishes of nodes that have ended or drain.
WITH freed AS (
    DELETE FROM contactsync.fleet_listeners AS l
    WHERE NOT EXISTS (SELECT FROM contactsync.fleet_nodes AS n WHERE n.node_id = l.node_id AND n.ended_at IS NULL)
)
UPDATE contactsync.fleet_listeners AS l SET wanted_by = NULL
WHERE l.wanted_by IS NOT NULL
  AND EXISTS (SELECT FROM contactsync.fleet_nodes AS n WHERE n.node_id = l.node_id AND n.ended_at IS NULL)
  AND NOT EXISTS (
      SELECT FROM contactsync.fleet_nodes AS n WHERE n.node_id = l.wanted_by AND n.ended_at IS NULL AND NOT n.draining)

-- name: nodes_to_listen
-- The nodes that may listen.
SELECT node_id FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND NOT draining ORDER BY node_id

-- name: listeners
SELECT listener, node_id, wanted_by FROM contactsync.fleet_listeners ORDER BY listener

-- name: take_listeners
INSERT INTO contactsync.fleet_listeners (listener, node_id)
SELECT listener, %(node_id)s FROM unnest(%(listeners)s::text[]) AS listener

-- name: want_listeners
UPDATE contactsync.fleet_listeners SET wanted_by = %(node_id)s WHERE listener = ANY (%(listeners)s)

-- name: give_up_listeners
-- To the nodes that want them, else to whoever takes them. Each node looks at the listeners then.
WITH given AS (
    UPDATE contactsync.fleet_listeners SET node_id = wanted_by, wanted_by = NULL
    WHERE node_id = %(node_id)s AND listener = ANY (%(listeners)s) AND wanted_by IS NOT NULL
), freed AS (
    DELETE FROM contactsync.fleet_listeners
    WHERE node_id = %(node_id)s AND listener = ANY (%(listeners)s) AND wanted_by IS NULL
)
SELECT pg_notify('contactsync_fleet', 'listeners')

-- name: nodes
SELECT node_id, name, version, joined_at, heartbeat_at, leads, draining, running, listening, ended_at, died, settled,
       heartbeat_at > clock_timestamp() - make_interval(secs => %(dead_seconds)s) AS fresh,
       round(extract(epoch FROM clock_timestamp() - heartbeat_at), 1)::double precision AS silent_seconds
FROM contactsync.fleet_nodes
ORDER BY ended_at IS NOT NULL, ended_at DESC, name, node_id

-- name: drain_node
WITH told AS (
    UPDATE contactsync.fleet_nodes SET draining = %(draining)s
    WHERE name = %(name)s AND ended_at IS NULL
    RETURNING node_id
)
SELECT node_id, pg_notify('contactsync_fleet', node_id::text)::text FROM told

-- name: run_in_progress
-- The nodes that make runs at the moment, by the run or by their definitions.
SELECT r.run_id, r.folder_id, r.definition_id, r.definition AS label, n.node_id
FROM contactsync.sync_runs AS r JOIN contactsync.fleet_nodes AS n ON n.name = r.node AND n.ended_at IS NULL
WHERE r.finished_at IS NULL AND r.outcome IS NULL
  AND (r.run_id = %(run_id)s OR r.definition_id = ANY (%(definition_ids)s))

-- name: runs_elsewhere
-- The runs that other nodes make at the moment.
SELECT r.folder_id, r.run_id, r.definition_id, r.definition AS label, r.trigger, r.mode, r.outcome, r.started_at,
       r.finished_at, r.full_reason, r.server, r.skipped_servers, r.attempts, r.entries, r.unchanged, r.refreshed, r.rejected,
       r.search_references AS "references", r.trimmed, r.inserted, r.updated, r.deleted, r.rekeyed, r.seconds AS stages, r.error_code,
       r.error, r.held_reason, r.undoes, NULL AS undone_by, r.node
FROM contactsync.sync_runs AS r
WHERE r.finished_at IS NULL AND r.node <> %(name)s
ORDER BY r.run_id
LIMIT 1000

-- name: queue_exists
SELECT obj_description(n.oid, 'pg_namespace') FROM pg_namespace AS n WHERE n.nspname = 'contactsync_queue'

-- name: queue_is_untuned
SELECT pg_has_role(c.relowner, 'USAGE') AND (to_regclass('contactsync_queue.jobs_of_lock') IS NULL
    OR NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname = 'notify_of_jobs'))
FROM pg_class AS c WHERE c.oid = to_regclass('contactsync_queue.procrastinate_jobs')

-- name: take_job
-- Ends a job, if one is given, and gives the first job that may run to a worker: of each lock that no running job has, the
-- first waiting job is one. Always one row, which has the node as its first column, and nothing else if there is no job.
-- procrastinate's own statement looks at each waiting job, this one at each lock.
-- It leaves PostgreSQL one way for each step, whether its plan was made with no job or with thousands. With an equality of
-- locks it would read the jobs of all locks by priority, and with the plain status of a job all that wait.
-- A node that others have ended takes none, and neither does the worker that it had: others request its jobs again. They read
-- the worker of a node in its row, which is noted before its first job.
-- With the job come whether there are messages that await its run, the nodes that want its events, and what its definition
-- needs of the machine. A user who asked for this folder alone does not await a run that was requested before: it would not
-- offer a password again that was refused. A message of a job that is gone, and that was not answered, awaits this one.
-- The commit does not wait for the disk: if PostgreSQL crashes before, the nodes request the jobs that they had again. The
-- begin of a run waits, and what was committed before it is on the disk then.
WITH RECURSIVE finished AS MATERIALIZED (
    SELECT CASE WHEN %(job_id)s::bigint IS NOT NULL
           THEN contactsync_queue.procrastinate_finish_job_v1(%(job_id)s, %(status)s, true)::text END
), alive AS MATERIALIZED (
    SELECT FROM contactsync.fleet_nodes AS n WHERE n.node_id = %(node_id)s AND n.ended_at IS NULL AND NOT EXISTS (
        SELECT FROM contactsync.fleet_nodes AS e WHERE e.worker_id = %(worker_id)s AND e.ended_at IS NOT NULL)
), noted AS (
    UPDATE contactsync.fleet_nodes SET worker_id = %(worker_id)s
    WHERE node_id = %(node_id)s AND ended_at IS NULL AND worker_id IS DISTINCT FROM %(worker_id)s
), locks AS (
    (SELECT lock FROM contactsync_queue.procrastinate_jobs WHERE status = 'todo' ORDER BY lock LIMIT 1)
    UNION ALL
    SELECT (SELECT j.lock FROM contactsync_queue.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.lock > l.lock ORDER BY j.lock LIMIT 1)
    FROM locks AS l WHERE l.lock IS NOT NULL
), firsts AS MATERIALIZED (
    SELECT first.id, first.priority
    FROM locks AS l CROSS JOIN LATERAL (
        SELECT j.id, j.priority, j.queue_name FROM contactsync_queue.procrastinate_jobs AS j
        WHERE j.lock >= l.lock AND j.lock <= l.lock AND j.status = 'todo'
        ORDER BY j.lock, j.priority DESC, j.id LIMIT 1) AS first
    WHERE first.queue_name = ANY (%(queues)s::varchar[]) AND NOT EXISTS (
        SELECT FROM contactsync_queue.procrastinate_jobs AS d WHERE d.lock = l.lock AND d.status = 'doing' AND d.id IS DISTINCT FROM %(job_id)s)
), candidate AS (
    SELECT unlocked.id FROM (SELECT id FROM firsts ORDER BY priority DESC, id) AS f CROSS JOIN LATERAL (
        SELECT j.id FROM contactsync_queue.procrastinate_jobs AS j WHERE j.id = f.id AND j.status::text = 'todo'
        FOR UPDATE SKIP LOCKED) AS unlocked
    LIMIT 1
), taken AS (
    UPDATE contactsync_queue.procrastinate_jobs AS j SET status = 'doing', worker_id = %(worker_id)s
    FROM finished CROSS JOIN alive CROSS JOIN candidate WHERE j.id = candidate.id
    RETURNING j.*, (j.args ->> 'definition_id')::bigint AS definition_id
), awaited AS (
    UPDATE contactsync.fleet_messages AS m SET job_id = t.id
    FROM taken AS t
    WHERE m.kind = 'await' AND m.definition_id = t.definition_id
      AND NOT EXISTS (SELECT FROM contactsync_queue.procrastinate_jobs AS j
                      WHERE j.id = m.job_id AND j.status::text = 'doing' AND j.id IS DISTINCT FROM %(job_id)s)
      AND (m.body IS NULL OR (m.body ->> 'asked')::double precision <= (t.args ->> 'asked')::double precision)
    RETURNING m.message_id
)
SELECT %(node_id)s::bigint AS node_id, t.id, t.status, t.task_name, t.priority, t.lock, t.queueing_lock, t.args, t.scheduled_at,
       t.queue_name, t.attempts, t.worker_id, EXISTS (SELECT FROM awaited) AS awaited,
       ARRAY(SELECT w.node_id FROM contactsync.fleet_nodes AS w
             WHERE w.watching_until > clock_timestamp() AND w.ended_at IS NULL AND w.node_id <> %(node_id)s) AS watchers,
       coalesce(d.revision, 0) AS revision, d.password_ref, substring(d.password_sealed FROM 2 FOR 4) AS key_id,
       array_remove(ARRAY[d.tls_ca_file, d.tls_client_cert, d.tls_client_key], NULL) AS files,
       EXISTS (SELECT FROM contactsync.fleet_unable AS u
               WHERE u.definition_id = d.definition_id AND u.node_id = %(node_id)s AND u.revision = d.revision) AS unable,
       set_config('synchronous_commit', 'off', true)
FROM finished LEFT JOIN taken AS t ON true LEFT JOIN contactsync.sync_definitions AS d ON d.definition_id = t.definition_id

-- name: announce_jobs
-- Lets all nodes look for jobs.
SELECT pg_notify('procrastinate_queue_v1#' || %(queue)s, '{"type": "job_inserted", "job_id": 0}')

-- name: in_queue
-- For triggers of the queue's tables, which name them without their schema, until the transaction ends.
SELECT set_config('search_path', 'contactsync_queue,pg_catalog', true)

-- name: return_jobs
-- Lets the jobs of workers that are gone wait again, for all nodes, with those that were left to their node. A job beside which
-- another request of the same run waits is removed. Returns the jobs of the workers.
WITH again AS (
    SELECT j.id, EXISTS (
        SELECT FROM contactsync_queue.procrastinate_jobs AS w
        WHERE w.queueing_lock = j.queueing_lock AND w.status = 'todo') AS twice
    FROM contactsync_queue.procrastinate_jobs AS j
    WHERE j.worker_id = ANY (%(worker_ids)s) AND j.status = 'doing'
), removed AS (
    DELETE FROM contactsync_queue.procrastinate_jobs AS j USING again AS a WHERE a.twice AND j.id = a.id
), returned AS (
    UPDATE contactsync_queue.procrastinate_jobs AS j SET status = 'todo', worker_id = NULL, queue_name = %(queue)s
    FROM again AS a WHERE NOT a.twice AND j.id = a.id
), left_to_it AS (
    UPDATE contactsync_queue.procrastinate_jobs SET queue_name = %(queue)s
    WHERE queue_name = %(own_queue)s AND status = 'todo'
)
SELECT id FROM again

-- name: waiting_jobs
SELECT count(*) FROM contactsync_queue.procrastinate_jobs WHERE status = 'todo'

-- name: waiting_places
SELECT queueing_lock::bigint, row_number() OVER (ORDER BY priority DESC, id)
FROM contactsync_queue.procrastinate_jobs WHERE status = 'todo'

-- name: waiting_by_server
-- What waits, by the directory server, with how many run there.
SELECT regexp_replace(lock, '#[0-9]+$', '') AS server, count(*) FILTER (WHERE status = 'todo') AS waiting,
       count(*) FILTER (WHERE status = 'doing') AS running
FROM contactsync_queue.procrastinate_jobs
WHERE status IN ('todo', 'doing') AND lock IS NOT NULL
GROUP BY 1 ORDER BY 2 DESC, 1
LIMIT %(limit)s

-- name: jobs_of
-- The jobs of definitions that are waiting, or that a worker makes. Each status has an index of its own.
SELECT id, queueing_lock, status::text, args, lock FROM contactsync_queue.procrastinate_jobs
WHERE queueing_lock = ANY (%(locks)s) AND status = 'todo'
UNION ALL
SELECT id, queueing_lock, status::text, args, lock FROM contactsync_queue.procrastinate_jobs
WHERE queueing_lock = ANY (%(locks)s) AND status = 'doing'

-- name: living_workers
SELECT worker_id FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND worker_id IS NOT NULL

-- name: offer_logon
-- One run of all nodes offers a password at a time. False if another one does.
SELECT pg_try_advisory_lock(hashtextextended('contactsync.logon ' || encode(%(digest)s, 'hex'), 0))

-- name: end_offer
SELECT pg_advisory_unlock(hashtextextended('contactsync.logon ' || encode(%(digest)s, 'hex'), 0))

-- name: refused_logon
-- The reason and the time of a refusal, and whether there are refusals at all.
SELECT r.reason, extract(epoch FROM r.refused_at)::double precision, EXISTS (SELECT FROM contactsync.refused_logons)
FROM (SELECT) AS one LEFT JOIN contactsync.refused_logons AS r ON r.digest = %(digest)s

-- name: refuse_logon
INSERT INTO contactsync.refused_logons (digest, reason) VALUES (%(digest)s, %(reason)s)
ON CONFLICT (digest) DO UPDATE SET reason = excluded.reason, refused_at = clock_timestamp()

-- name: accept_logon
DELETE FROM contactsync.refused_logons WHERE digest = %(digest)s
