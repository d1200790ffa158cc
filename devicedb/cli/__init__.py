"""The program `devicedb`: a module for each subcommand, imported on demand."""

from devicedb.cli.main import get_argparser, main

__all__ = ["get_argparser", "main"]
