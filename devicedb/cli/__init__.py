"""The program `devicedb`: one module a subcommand, loaded when it is asked for."""

from devicedb.cli.main import get_argparser, main

__all__ = ["get_argparser", "main"]
