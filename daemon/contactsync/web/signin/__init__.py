"""The ways to sign in.

What a person may do afterwards is decided in the daemon.
"""
