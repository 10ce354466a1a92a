-- name: daemon_listens
-- Every daemon listens over one connection with this name. Other users' connections are listed with their names too.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %(application_name)s)

-- name: rejected_of_run
SELECT dn, reason FROM contactsync.rejected_entries
WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s
ORDER BY dn
LIMIT %(limit)s
