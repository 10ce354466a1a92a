"""Parsers for the query, user and filter that a person types. No I/O."""
