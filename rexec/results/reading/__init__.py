"""Result files as people and programs read them: runs, comparisons, pictures, xarray."""
