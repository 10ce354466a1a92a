"""Several daemons on one set of definitions: who is there, and the queue of runs that they share.

Only `connector.py`, `engine.py` and `schema.py` import procrastinate, and only a daemon with [fleet] imports them.
"""
