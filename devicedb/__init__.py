"""What is written down: reads a `device_db.py`, resolves its names, checks it. No network, no arrays."""
