"""Private directory servers and made-up people, for the demo, the tests and the benchmark.

The product itself never imports it.
"""
