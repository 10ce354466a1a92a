-- name: set_actor
-- For the triggers of the audit, until the transaction ends.
SELECT set_config('contactsync.actor', %(actor)s, true)

-- name: confirm_locally
-- For deeds that write nothing but their row: a request or a cancellation must not wait for a standby that is away.
SET LOCAL synchronous_commit = local

-- name: write_audit
SELECT contactsync.write_audit(
    %(action)s, %(folder_id)s, %(definition_id)s, %(label)s, %(run_id)s, NULL, %(after)s::jsonb)

-- name: audit
SELECT audit_id, at, actor_kind, actor, via, how, address, database_role, action, folder_id, definition_id, label, run_id, before, after
FROM contactsync.audit
WHERE (%(definition_ids)s::bigint[] IS NULL OR definition_id = ANY (%(definition_ids)s))
  AND (%(folder_ids)s::bigint[] IS NULL OR folder_id = ANY (%(folder_ids)s))
  AND (%(before_id)s::bigint IS NULL OR audit_id < %(before_id)s)
  AND (%(actions)s::text[] IS NULL OR action = ANY (%(actions)s))
ORDER BY audit_id DESC
LIMIT %(limit)s

-- name: forget_audit
DELETE FROM contactsync.audit WHERE at < now() - make_interval(days => %(keep_days)s)
