"""What can go wrong with datasets in a way that a user can act on."""


class DatasetError(Exception):
    """Raised when a dataset or its database cannot be used; its text is the whole message."""


class DatabaseInUse(DatasetError):
    """Raised when another process has the dataset database open for writing."""


class DatabaseUnreadable(DatasetError):
    """Raised when a dataset database, or a value in it, is not what ARTIQ writes."""


class DatasetTooLarge(DatasetError):
    """Raised when a value does not fit where it should go; names the dataset, its size and the limit."""
