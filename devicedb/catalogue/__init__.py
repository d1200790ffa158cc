"""Constructor arguments of the drivers that ARTIQ ships, by release.

`artiq_coredevice.json` holds them and `load` reads it. `python -m devicedb.catalogue PACKAGE... --release N` makes
such a file from the source of driver packages (`build`), which is parsed and never imported.
"""

from devicedb.catalogue.load import NEWEST, RELEASES, Driver, catalogue

__all__ = ["NEWEST", "RELEASES", "Driver", "catalogue"]
