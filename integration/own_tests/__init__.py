"""Tests of the harness, of the programs that run inside machines, and of the tables and the plot.

No test of the product is here. Those that boot machines are marked as integration tests.
"""
