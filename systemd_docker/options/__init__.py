"""The command lines of docker-run and systemd-docker: words in, one create request out."""
