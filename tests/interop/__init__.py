"""Live peers: the reference library at the other end."""
