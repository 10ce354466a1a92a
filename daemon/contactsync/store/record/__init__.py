"""What is kept about runs: the record, held plans, history, cursors, requests.

Contacts themselves are written in store/plan/.
"""
