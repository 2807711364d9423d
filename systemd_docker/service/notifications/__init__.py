"""Tell systemd about the running container: main PID, readiness, status, watchdog."""
