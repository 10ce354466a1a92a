"""Several daemons on one set of definitions: who is there, and the queue of runs that they share.

Only `jobs` imports procrastinate, and only a daemon with [fleet] imports more of it than `job.py` and `slots.py`.
"""
