"""What surrounds each request of the console, one protection in each file.

Nothing here knows a page.
"""
