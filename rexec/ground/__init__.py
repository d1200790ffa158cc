"""The ground that the rest of rexec stands on: loops in threads, child processes, forks, signals that end a program.

It imports nothing of ours. Each module is imported from where it is, so that who needs one does not load the others.
"""
