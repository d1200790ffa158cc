"""The default answer of a simulated method: the plainest value of the type that its driver declares."""

import ast
from typing import Any, Final

import numpy as np

_PLAIN: Final[dict[str, Any]] = {
    "bool": False, "int": 0, "float": 0.0, "complex": 0j, "str": "", "bytes": b"", "bytearray": b"", "None": None,
    # Annotations of ARTIQ's kernels.
    "TNone": None, "TBool": False, "TInt32": 0, "TInt64": 0, "TFloat": 0.0, "TStr": "", "TBytes": b"",
}  # fmt: skip

_CONTAINERS: Final[dict[str, Any]] = {
    "list": list, "List": list, "Sequence": list, "Iterable": list, "Collection": list, "TList": list,
    "dict": dict, "Dict": dict, "Mapping": dict, "MutableMapping": dict,
    "set": set, "Set": set, "frozenset": set,
    "tuple": tuple, "Tuple": tuple,
}  # fmt: skip

_ARRAYS: Final = frozenset({"NDArray", "ndarray", "ArrayLike", "array", "TArray"})

_DTYPES: Final = frozenset(
    "bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()
)


def plain_value(annotation: str | None) -> Any:
    """Return the plainest value of a type.

    Zero, False, the empty text or container; of a tuple one such value an element; of several types the first; of a
    Literal its first; of an array one zero of its dtype, shape (1,). None where the type is not known.

    Args:
        annotation: The type as it is written in the driver's source. It is parsed, not evaluated.

    """
    if annotation is None:
        return None
    try:
        node = ast.parse(annotation.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _value(node)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return plain_value(node.value) if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _first(node.left, node.right)
    if isinstance(node, ast.Subscript):
        return _of_container(_name(node.value), node.slice)
    if isinstance(node, ast.Call):  # ARTIQ: TList(TInt32), TTuple([TInt32, TFloat])
        return _of_call(_name(node.func), node.args)
    name = _name(node)
    if name in _PLAIN:
        return _PLAIN[name]
    if name in _ARRAYS:
        return np.zeros(1)
    if name in _DTYPES and isinstance(node, ast.Attribute):
        return np.dtype(name.rstrip("_")).type(0)
    kind = _CONTAINERS.get(name)
    return None if kind is None else kind()


def _of_container(name: str, inner: ast.expr) -> Any:
    parts = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if name in {"Optional", "Annotated", "Awaitable", "Final"}:
        return _value(parts[0])
    if name == "Union":
        return _first(*parts)
    if name == "Literal":
        return parts[0].value if isinstance(parts[0], ast.Constant) else None
    if name in {"Coroutine", "Generator"}:
        return _value(parts[-1])
    if name in _ARRAYS:
        return np.zeros(1, _dtype(parts[-1]))
    if name in {"tuple", "Tuple"}:
        is_any_length = isinstance(parts[-1], ast.Constant) and parts[-1].value is ...
        return () if is_any_length else tuple(map(_value, parts))
    kind = _CONTAINERS.get(name)
    return None if kind is None else kind()


def _of_call(name: str, args: list[ast.expr]) -> Any:
    if name == "TTuple" and args and isinstance(args[0], ast.List):
        return tuple(map(_value, args[0].elts))
    if name == "TArray":
        return np.zeros(1)
    return [] if name == "TList" else None


def _first(*nodes: ast.expr) -> Any:
    """Return the value of the first type that is not None."""
    return next((value for value in map(_value, nodes) if value is not None), None)


def _dtype(node: ast.expr) -> Any:
    """Return the dtype in an annotation of an array (`np.uint16`, `np.dtype[np.uint16]`), else float64."""
    if isinstance(node, ast.Subscript):
        return _dtype(node.slice)
    name = _name(node).rstrip("_")
    known = {"int": np.int64, "float": np.float64, "complex": np.complex128}
    return known.get(name) or (np.dtype(name) if name in _DTYPES else np.float64)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""
