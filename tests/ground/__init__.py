"""Tests of `rexec.ground`."""
