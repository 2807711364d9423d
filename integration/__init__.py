"""Booted machines, and what a user sees on them."""
