"""Errors of the console itself."""

from __future__ import annotations


class SessionNeeded(Exception):
    """The request needs a session, and has none or one that has ended."""
