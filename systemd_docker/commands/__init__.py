"""Every subcommand but `run`: one file each, with `main(argv) -> exit status`, imported only when it is chosen.

manpage is no subcommand: it is install_system's, and has a noun of its own.
"""
