"""Threads and asynchronous exceptions at each place where they can matter, in an order that a test chooses."""
