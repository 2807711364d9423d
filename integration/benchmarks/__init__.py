"""What a unit costs. `integration/bench` runs main; adoption, generator and options are commands of their own.

No test is here: benchmarks print figures, and main holds them to limits.
"""
