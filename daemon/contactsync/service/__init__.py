"""The daemon as a process: its parts, its signals, its start and stop.

What the parts do is in the folders below.
"""
