"""The settings of an installation: settings.toml, overridden by environment variables CONTACTSYNC_*; optional packages.

It imports nothing: a command that only asks the daemon needs `file`, and not pydantic.
"""
