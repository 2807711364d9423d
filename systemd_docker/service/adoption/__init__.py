"""Make the container's processes part of the unit's cgroup, and prove it."""
