"""The documents that `contactsync status` and `contactsync folders` show, and the API has.

Nothing here changes anything.
"""
