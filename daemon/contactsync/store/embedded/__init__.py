"""The PostgreSQL server that runs when no database URL is set. Processes share it; the last one stops it."""

from contactsync.store.embedded.server import embedded_server, has_cluster, packaged_binaries, psql_command

__all__ = ["embedded_server", "has_cluster", "packaged_binaries", "psql_command"]
