"""systemd-docker-generator(8): what unit files in the load path become before the service manager reads them."""
