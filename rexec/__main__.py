"""`python -m rexec` is the program `rexec`."""

import sys

from rexec.cli import main

if __name__ == "__main__":
    sys.exit(main())
