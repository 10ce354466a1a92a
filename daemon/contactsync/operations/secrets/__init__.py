"""The key that seals bind passwords, and passwords that programs seal with it.

The sealing itself is in credentials/.
"""
