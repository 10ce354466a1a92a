"""`check` and `browse`: what is wrong with a definition, and what is in its directory.

Nothing here changes the directory or the database.
"""
