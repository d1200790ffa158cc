"""Constructor arguments of the drivers that ARTIQ ships, by release.

`artiq_coredevice.json` holds them; `python -m devicedb.catalogue PACKAGE_FOLDER...` makes such a file from the
source of a driver package.
"""

from devicedb.catalogue.load import NEWEST, RELEASES, Driver, catalogue

__all__ = ["NEWEST", "RELEASES", "Driver", "catalogue"]
