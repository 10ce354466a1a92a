"""One run, from the definition to the record.

When runs happen is decided in dispatch/; a run is the same whoever asked for it.
"""
