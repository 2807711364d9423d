"""What a container gets from its unit and docker-run(1) flags, what its payload does, and how its unit ends."""
