"""What keeps a bridge from its work, in a way that a user can act on."""


class BridgeError(Exception):
    """Raised when a bridge cannot begin; its text is the whole message."""
