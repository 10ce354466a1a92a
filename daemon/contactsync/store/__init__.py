"""PostgreSQL: everything that is read from it and written to it."""
