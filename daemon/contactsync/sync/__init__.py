"""One run, from the definition to the record.

dispatch/ decides when a run happens. A run does not depend on who requested it.
"""
