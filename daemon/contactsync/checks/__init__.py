"""`check` and `browse`: what is wrong with a definition, and what its directory contains.

Nothing here changes the directory or the database.
"""
