"""Writes the pages of docs/reference that are made from the code: settings, commands, paths of the API, metrics."""
