"""Find the container again after losing the engine, or after a restart of the container."""
