"""The container's output in the journal, in files and in sockets."""
