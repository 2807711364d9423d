"""The tables that the tests measure and the manual prints: what survives which fault, what each engine can do.

They are data and the form in which they are printed. The tests that measure them are in tests/.
"""
