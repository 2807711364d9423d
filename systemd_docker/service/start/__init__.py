"""From a plan to a running, announced container; and back to nothing if a step fails."""
