"""Measures runs of the daemon, `ldapsearch` and other programs; see docs/explanation/performance.md."""
