"""The daemon: its parts, its process, its signals, systemd.

The work itself is in the folders below.
"""
