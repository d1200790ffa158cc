"""Did you mean: the nearest of some names."""

from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` is most likely a slip of, None where none is near.

    Parameters
    ----------
    name
        What was written.
    candidates
        What could have been meant; `name` itself is passed over.

    """
    from difflib import get_close_matches

    names = [each for each in candidates if each != name]
    folded = name.casefold()
    for each in names:
        if each.casefold() == folded:
            return each
    found = get_close_matches(name, names, n=1, cutoff=0.7)
    return found[0] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return " Did you mean 'X'?", or nothing where no candidate is near: to be put after a message."""
    found = nearest(name, candidates)
    return f" Did you mean {found!r}?" if found is not None else ""
