"""What can be written at a position: names, keys of an entry, drivers and their arguments."""

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from devicedb.drivers.catalogue import catalogue
from devicedb.drivers.constraints import ARTIQ, Constraint, constraints
from devicedb.drivers.signatures import Drivers
from devicedb.drivers.usage import VIRTUAL
from devicedb.lsp.context import Context, Role
from devicedb.lsp.hover import VIRTUAL_TEXT, is_device_call, is_of_entry, keys_of
from devicedb.lsp.known import Known
from devicedb.model.database import TYPES, Entry

MOST: Final = 200
"""Candidates of one answer; with more letters typed the editor asks again."""


class Sort(Enum):
    """What a candidate is; editors show a symbol for it."""

    DEVICE = "device"
    KEY = "key"
    ARGUMENT = "argument"
    MODULE = "module"
    CLASS = "class"
    WORD = "word"


@dataclass(frozen=True)
class Candidate:
    """One word that can be written."""

    word: str
    sort: Sort
    detail: str = ""


@dataclass(frozen=True)
class Completion:
    """The candidates for a position; `is_whole` is False if there are more."""

    candidates: tuple[Candidate, ...]
    is_whole: bool = True


def complete(context: Context, known: Known) -> Completion:
    """Return what can be written at a position, sorted, those first that begin as what is there."""
    if not context.start <= context.offset <= context.end:  # on the quote
        return Completion(())
    typed = context.typed.casefold()
    found = [each for each in _candidates(context, known) if _fits(each.word.casefold(), typed)]
    found.sort(key=lambda each: not each.word.casefold().startswith(typed))
    return Completion(tuple(found[:MOST]), len(found) <= MOST)


def _fits(word: str, typed: str) -> bool:
    """Whether a word has the typed letters, in this order."""
    letters = iter(word)
    return all(letter in letters for letter in typed)


def _candidates(context: Context, known: Known) -> Iterable[Candidate]:
    if is_device_call(context):
        virtual = (Candidate(name, Sort.DEVICE, VIRTUAL_TEXT) for name in sorted(VIRTUAL))
        return [*_devices(known, known.entries), *virtual]
    if context.is_alias:
        return _devices(known, (name for name in known.entries if name != context.key))
    if context.entry is None:
        return ()
    facts = context.entry.items
    if is_of_entry(context):
        return _keys(context, facts) if context.role is Role.KEY else _values(context, facts, known)
    if not context.is_of_arguments:
        return ()
    module, name = facts.get("module", ""), facts.get("class", "")
    if context.role is Role.KEY:
        return _arguments(known.drivers, module, name, _given(context))
    return _argument_values(context.key, module, name, known)


def _devices(known: Known, names: Iterable[str]) -> list[Candidate]:
    return [Candidate(name, Sort.DEVICE, known.kind(name)) for name in sorted(names)]


def _given(context: Context) -> frozenset[str]:
    """Keys that the dict has beside the one that is being written."""
    return frozenset(context.bracket.items) - {context.text}


def _keys(context: Context, facts: Mapping[str, str]) -> Iterator[Candidate]:
    given = _given(context)
    for key, description in keys_of(facts.get("type", "")).items():
        if key not in given:
            yield Candidate(key, Sort.KEY, description)


def _values(context: Context, facts: Mapping[str, str], known: Known) -> Iterable[Candidate]:
    if context.key == "type":
        return [Candidate(kind, Sort.WORD) for kind in TYPES]
    if context.key == "controller":
        return _devices(known, (name for name in known.entries if _is_controller(known.behind(name))))
    if context.key == "module":
        return [Candidate(module, Sort.MODULE) for module in sorted(catalogue())]
    if context.key == "class":
        return [
            Candidate(name, Sort.CLASS) for name in sorted(_classes(known.drivers, facts.get("module", "")))
        ]
    return ()


def _classes(drivers: Drivers, module: str) -> Iterator[str]:
    for name, forms in catalogue().get(module, {}).items():
        if any(drivers.release in form.releases for form in forms):
            yield name
    if module not in catalogue() and (source := drivers.finder.source(module)) is not None:
        yield from (node.name for node in source.tree.body if isinstance(node, ast.ClassDef))


def _arguments(drivers: Drivers, module: str, name: str, given: Collection[str]) -> Iterator[Candidate]:
    signature = drivers.lookup(module, name).signature if module and name else None
    if signature is not None:
        for need, names in (("required", signature.required), ("optional", signature.optional)):
            yield from (
                Candidate(each, Sort.ARGUMENT, f"{need} by {name}") for each in names if each not in given
            )


def _argument_values(argument: str, module: str, name: str, known: Known) -> Iterable[Candidate]:
    drivers = known.drivers
    constraint = constraints(drivers.release, module, name).get(argument, Constraint())
    if constraint.words:
        return [Candidate(word, Sort.WORD) for word in constraint.words]
    own = drivers.device_arguments(module, name) if module and not module.startswith(ARTIQ) else None
    if constraint.device or argument in (own or ()):
        return _devices(known, (each for each in known.entries if _is_accepted(each, constraint, known)))
    return ()


def _is_controller(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == "controller"


def _is_accepted(name: str, constraint: Constraint, known: Known) -> bool:
    """Whether a driver takes a device as an argument; True where its kind is not known."""
    if constraint.kinds is None:
        return True
    entry = known.behind(name)
    if entry is None or entry.kind != "local":
        return False
    module, cls = entry.text("module"), entry.text("class")
    if module is None or cls is None or not module.startswith(ARTIQ):
        return True
    return f"{module.removeprefix(ARTIQ)}.{cls}" in constraint.kinds
