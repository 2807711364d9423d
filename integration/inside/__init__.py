"""Programs that are copied into a machine and run there with its own Python.

They import the standard library alone, and nothing of this project.
"""
