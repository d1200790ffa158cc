"""How cost grows with size: `python -m benchmarks.growth` measures each row at n, 10 n and 100 n (see `__main__`)."""
