"""The catalogues of ARTIQ's drivers, by release.

`artiq_coredevice.json` has the constructor arguments (`devicedb.drivers.catalogue` reads it), `artiq_methods.json` the
methods. `python -m devicedb.catalogue PACKAGE... --release N` makes such a file from the source of driver packages
(`build`), which is parsed and never imported.
"""
