"""docker-run's command line and our own: words in, one create request out. Pure but for the files that flags name."""
