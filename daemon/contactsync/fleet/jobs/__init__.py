"""The queue of a fleet: procrastinate's jobs in PostgreSQL, and the worker that takes them.

`engine` has the thread and its event loop, `outbox` the requests until they are stored, `worker` the threads that make
runs. `connector` has the statement that ends a job and takes the next one, `abandoned` jobs of workers that are gone.
"""
