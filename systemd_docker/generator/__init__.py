"""systemd-docker-generator(8): drop-ins for units, written before the service manager reads them."""
