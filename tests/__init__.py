"""The checks of the project: `python -m tests` runs all of them."""
