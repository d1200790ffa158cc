"""Folders that tests of results share with those of the catalogue."""

from tests.catalogue.conftest import _own_cache, results

__all__ = ["_own_cache", "results"]
