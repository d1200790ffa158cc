"""Did you mean: the nearest of some names."""

from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` is most likely a slip of, None where none is near.

    Args:
        name: What was written.
        candidates: What could have been meant; `name` itself is passed over.

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


def is_one_edit(left: str, right: str) -> bool:
    """Return whether one letter added, removed or changed, or two neighbours swapped, makes one of the other.

    Names that differ in case only count too. Equal names do not.
    """
    if left == right:
        return False
    if left.casefold() == right.casefold():
        return True
    if len(left) > len(right):
        left, right = right, left
    if len(right) - len(left) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    if len(left) < len(right):
        return left[start:] == right[start + 1 :]
    swapped = left[start : start + 2][::-1] == right[start : start + 2]
    return left[start + 1 :] == right[start + 1 :] or (swapped and left[start + 2 :] == right[start + 2 :])
