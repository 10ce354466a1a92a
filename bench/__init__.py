"""Whole runs of the daemon beside `ldapsearch` and what people would use otherwise; see docs/performance.md."""
