"""The part `fleet`: three daemons as processes on one PostgreSQL, with real directories and proxies between."""
