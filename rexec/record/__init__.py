"""Recordings of sessions with real controllers: a proxy that makes them, the file, and the answers in it.

`rexec record` makes them; a simulation answers from them.
"""
