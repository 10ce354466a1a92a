"""Who may use which route: the right and the scope that each needs, and the tokens of programs elsewhere.

A user of the control socket may do everything. The rules about tokens are in operations/access/.
"""
