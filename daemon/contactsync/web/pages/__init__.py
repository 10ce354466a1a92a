"""The pages, in one file for each group of them.

A page asks the daemon and fills a template; a rule of the product goes into operations/.
"""
