"""The installed product: the demonstration, the generator, the unit files."""
