"""Prometheus metrics: counters of runs, and the state of the daemon. Nothing here changes that state."""
