"""Prometheus metrics: what is counted, and how the daemon's state is read for it. Nothing here changes anything."""
