"""The HTTP application that the control socket serves.

It translates requests and answers; a rule of the product goes into operations/.
"""
