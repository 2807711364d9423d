"""What systemd is told while the container runs: main PID, readiness, status, watchdog."""
