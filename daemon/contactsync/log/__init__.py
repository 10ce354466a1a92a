"""The log: structlog's configuration and the handler for systemd's journal.

Events are written where they happen, not here.
"""
