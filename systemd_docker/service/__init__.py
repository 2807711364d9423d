"""One running service: policy and effects."""
