"""Files for administrators that are no code: units, SQL, monitoring, man pages, completion, settings.toml.

The only code here lists and copies them.
"""
