"""The Docker Engine API, at the local engine's socket."""
