"""All that a front end may do: names, states, definitions, decisions, history.

Functions take values and return values; no terminal and no HTTP.
"""
