"""The long-lived half: state, loop, signals, stop, re-exec and clean-up of one running service."""
