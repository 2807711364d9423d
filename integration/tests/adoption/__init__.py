"""Where the container's processes are, and which of the unit's limits and directives hold for them."""
