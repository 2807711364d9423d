"""Stops, signals and kills, in every phase of a unit's life and in random order."""
