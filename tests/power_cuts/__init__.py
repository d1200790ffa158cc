"""What a loss of power may leave of our files, and what we promise of them (`python -m tests.campaigns.power_cuts`)."""
