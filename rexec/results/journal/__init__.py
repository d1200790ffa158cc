"""The journal of a run: its file, its records, and their bytes, written and read."""
