"""`python -m devicedb` is the program `devicedb`."""

import sys

from devicedb.cli import main

sys.exit(main())
