"""The queue of a fleet: procrastinate's jobs in PostgreSQL, and the worker that takes them.

`engine` has the thread and its event loop, `outbox` the requests until they are stored, `connector` the statement that
ends a job and takes the next one, `worker` the threads that make runs, and `abandoned` jobs of workers that are gone.
"""
