"""Decide before anything is done: options, unit and engine facts in, LaunchPlan out. Pure."""
