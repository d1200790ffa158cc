"""What a name under the cursor means, and what a key of an entry is for."""

from functools import cache
from typing import Final

from devicedb.drivers.usage import GETTERS, VIRTUAL
from devicedb.lsp.context import Context, Role
from devicedb.lsp.known import Known
from devicedb.printable import printable

VIRTUAL_TEXT: Final = "is not in the database: every master provides it"


def is_device_call(context: Context) -> bool:
    """Whether a position is the name in `get_device("…")` or `setattr_device("…")`."""
    return context.role is Role.ARGUMENT and context.bracket.call in GETTERS


def is_of_entry(context: Context) -> bool:
    """Whether a position is directly in the dict of an entry."""
    return context.entry is not None and context.bracket is context.entry


def name_at(context: Context, known: Known) -> str | None:
    """Return the name of the database that stands at a position, None if none does."""
    is_name = context.is_name or (
        context.is_quoted
        and (
            context.is_alias
            or is_device_call(context)
            or (context.role is Role.VALUE and context.key == "controller" and is_of_entry(context))
            or (context.role is Role.VALUE and context.is_of_arguments and context.text in known.entries)
        )
    )
    return context.text if is_name and context.text else None


def hover(context: Context, known: Known) -> str | None:
    """Return what to show for a position, as Markdown; None: nothing."""
    name = name_at(context, known)
    if name is not None:
        if name in VIRTUAL and name not in known.entries:
            return f"`{name}` {VIRTUAL_TEXT}"
        if name not in known.entries and (context.is_name or not known.entries):
            return None  # the text has never been without a syntax error
        return fenced(known.shown(name))
    if context.role is Role.KEY and is_of_entry(context) and context.entry is not None:
        description = keys_of(context.entry.items.get("type", "")).get(context.text)
        return f"`{context.text}`: {description}" if description else None
    return None


def fenced(text: str) -> str:
    """Return text as a code block of Markdown."""
    text = printable(text, "\n")
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


@cache
def keys_of(kind: str) -> dict[str, str]:
    """Return the keys of a kind of entry, with what each is for; those of all kinds if it has no valid type."""
    from pydantic import BaseModel

    from schemas.device_db import Controller, ControllerAuxTarget, DummyDevice, LocalDevice

    models: dict[str, type[BaseModel]] = {
        "local": LocalDevice,
        "controller": Controller,
        "controller_aux_target": ControllerAuxTarget,
        "dummy": DummyDevice,
    }
    chosen = [models[kind]] if kind in models else list(models.values())
    found = {"type": f"Kind of the entry: {', '.join(models)}."}
    for model in chosen:
        for name, field in model.model_fields.items():
            found.setdefault(field.alias or name, field.description or "")
    return found
