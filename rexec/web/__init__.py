"""The laboratory on one page: serves what happens now to browsers (extra `[web]`).

A page asks what is new since a version, on its own clock; nothing here pushes, and no module holds state of the
laboratory but the ones that follow its sources.
"""
