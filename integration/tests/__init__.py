"""Tests of the product on machines, each group in a package: run, stop, engine, adoption, output, notifications,
install, scale.

No test module imports another: what they share is in words/.
"""
