"""What is kept about runs: the record, held plans, history, cursors, requests; and contacts as people read them.

Contacts themselves are written in store/plan/.
"""
