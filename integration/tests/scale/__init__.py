"""Many units at once, and what is left after many starts."""
