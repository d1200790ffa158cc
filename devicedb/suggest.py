"""Suggests the nearest of some names: "Did you mean …?"."""

from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate nearest to a misspelt name, None if none is near.

    Args:
        name: What was written.
        candidates: Possible names; `name` itself is skipped.

    """
    from difflib import get_close_matches

    names = [each for each in candidates if each != name]
    folded = name.casefold()
    for each in names:
        if each.casefold() == folded:
            return each
    found = get_close_matches(name, names, n=1, cutoff=0.7)
    return found[0] if found else None


def only_candidate(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a misspelt name certainly means, None if several are as near.

    That is the only one that differs in case, or else in one edit, or else the only near one. Names that differ in a
    number only are not slips: `ttl5` and `ttl4` are two devices.
    """
    from difflib import get_close_matches

    names = [each for each in dict.fromkeys(candidates) if each != name]
    found = [each for each in names if each.casefold() == name.casefold()]
    found = found or [each for each in names if is_one_edit(name, each)]
    found = found or get_close_matches(name, names, n=2, cutoff=0.7)
    return found[0] if len(found) == 1 and _letters(found[0]) != _letters(name) else None


def _letters(name: str) -> str:
    return "".join(each for each in name if not each.isdecimal())


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return " Did you mean 'X'?" to append to a message, or "" if no candidate is near."""
    found = nearest(name, candidates)
    return f" Did you mean {found!r}?" if found is not None else ""


def is_one_edit(left: str, right: str) -> bool:
    """Return whether the names differ by one inserted, deleted, changed or swapped letter.

    Or by case only. Equal names: False.
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
