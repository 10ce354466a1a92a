"""What an actor may do, and in which folders: the tokens of programs, their rights and scopes.

Users of the control socket may do everything.
"""
