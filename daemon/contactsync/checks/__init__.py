"""Finds out what is wrong with a definition, step by step, and shows what is in its directory. Changes nothing."""
