-- What changed is told column by column now, in the statement that makes the plan.
DROP FUNCTION contactsync.changed_fields(jsonb, jsonb);
