"""The container's output and input: relayed, resumed, never lost in silence."""
