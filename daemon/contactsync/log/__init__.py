"""The log: structlog's configuration and the handler for systemd's journal. Events are logged where they happen."""
