"""Readiness, notifications of the payload, the watchdog and the container's health."""
