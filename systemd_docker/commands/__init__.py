"""Every subcommand but `run`: one file each, with `main(argv) -> exit status`, imported only when it is chosen."""
