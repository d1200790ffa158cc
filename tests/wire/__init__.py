"""Tests of rexec.wire: against bytes that real peers sent, and against itself."""
