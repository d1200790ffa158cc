"""What keeps a master from serving, in a way that a user can act on."""


class MasterError(Exception):
    """Raised when a master cannot start; its text is the whole message."""


class NotServedError(Exception):
    """Raised to a client that asks for what only a master that runs experiments has."""
