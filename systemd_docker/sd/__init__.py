"""The service manager's protocols and file formats: notifications, listen fds, journal, unit files, properties."""
