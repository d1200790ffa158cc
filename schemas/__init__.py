"""What may be written down: models of device database entries, reports, runs and results. No I/O."""
