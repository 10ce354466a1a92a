"""The documents that `contactsync status` and `contactsync folders` show, and the API has."""
