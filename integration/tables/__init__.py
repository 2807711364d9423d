"""The tables that the tests measure and print: what survives which fault; what each engine can do, as in the manual.

They are data and the form in which they are printed. The tests that measure them are in tests/.
"""
