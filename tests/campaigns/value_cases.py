"""Values that an experiment may set: at least 150, each made anew when it is asked for."""

import array
import collections
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import xarray as xr


@dataclass(frozen=True)
class Case:
    """One value.

    Attributes:
        make: Makes it.
        back: Makes what is read back, where that is no object of its class; None: itself.
        is_text: A leaf that nothing knows: only its text is kept.
        is_native: h5py refuses it, but HDF5 has a form for it that needs no mark.

    """

    make: Callable[[], Any]
    back: Callable[[], Any] | None = None
    is_text: bool = False
    is_native: bool = False

    def expected(self) -> Any:
        """Return what is read back."""
        return (self.back or self.make)()


class Color(enum.Enum):
    """An enumeration of texts."""

    RED = "red"


class Level(enum.IntEnum):
    """An enumeration of numbers."""

    HIGH = 3


class Word(enum.StrEnum):
    """An enumeration that is text."""

    ONE = "one"


class Bits(enum.Flag):
    """A set of flags."""

    A = 1
    B = 2


class Point(NamedTuple):
    """A tuple with names."""

    x: float
    y: float


@dataclass
class Fit:
    """A class of fields."""

    center: float
    covariance: Any


class Numbers(list[Any]):
    """A subclass of list."""


class Settings(dict[str, Any]):
    """A subclass of dict."""


class Text(str):
    """A subclass of str."""

    __slots__ = ()


class Volts(float):
    """A subclass of float."""


class Count(int):
    """A subclass of int."""


class Frame(np.ndarray[Any, Any]):
    """A subclass of ndarray."""


class HasArray:
    """An object with NumPy's protocol."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the array."""
        return np.arange(6.0).reshape(2, 3)


class HasInterface:
    """An object with NumPy's older protocol."""

    def __init__(self) -> None:
        self._held = np.arange(4, dtype=np.uint16)
        self.__array_interface__ = self._held.__array_interface__


class Sequence:
    """An object with the sequence protocol alone."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> float:
        if index >= 3:
            raise IndexError
        return 0.5 * index


class Quantity(np.ndarray[Any, Any]):
    """An array with a unit."""

    unit = "V"


class Table(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> Any:
        return {"a": np.arange(3), "b": [1, None]}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("a", "b"))

    def __len__(self) -> int:
        return 2


class Opaque:
    """A class that nothing knows."""


def _bytes_array() -> Any:
    return np.array([b"ab", b"c"], dtype=object)


def _odd_text() -> Any:
    return np.frombuffer(np.array([0x41, 0x7FFFFFFF], np.uint32).tobytes(), "<U1")


def _records(**kinds: Any) -> Any:
    value = np.zeros(3, list(kinds.items()))
    for number, name in enumerate(kinds):
        value[name] = number + 1
    return value


def _titled() -> Any:
    return np.ones(
        2, np.dtype({"names": ["a", "b"], "formats": ["<i2", "<f4"], "titles": ["first", "second"]})
    )


def _padded() -> Any:
    value = np.empty(2, np.dtype([("a", "u1"), ("b", "<f8")], align=True))
    value["a"], value["b"] = 1, 2.5
    return value


def _nested(depth: int) -> Any:
    value: Any = 1.0
    for _ in range(depth):
        value = [value]
    return value


def _c_numbers() -> Any:
    import ctypes

    return (ctypes.c_double * 3)(1.0, 2.0, 3.0)


def _objects(*items: Any) -> Any:
    value = np.empty(len(items), object)
    for number, item in enumerate(items):
        value[number] = item
    return value


_FRAME = {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}
_ZONE = datetime.timezone(datetime.timedelta(hours=2))
_plain: dict[str, Callable[[], Any]] = {
    "int": lambda: 5,
    "int negative": lambda: -5,
    "int 2**62": lambda: 2**62,
    "int 2**63": lambda: 2**63,
    "int 2**64": lambda: 2**64,
    "int of 5000 digits": lambda: 10**5000,
    "float": lambda: 0.1,
    "float nan": lambda: math.nan,
    "float inf": lambda: -math.inf,
    "float -0.0": lambda: -0.0,
    "complex": lambda: 1 - 2j,
    "bool": lambda: True,
    "None": lambda: None,
    "Ellipsis": lambda: ...,
    "str": lambda: "text",
    "str empty": lambda: "",
    "str greek": lambda: "\u03bcm \u00b0C \U0001f600",
    "str with NUL": lambda: "a\0b",
    "str lone surrogate": lambda: "\udcb0C",
    "str large": lambda: "x" * 100_000,
    "bytes": lambda: b"abc",
    "bytes empty": lambda: b"",
    "bytes not ascii": lambda: b"\xff\xfe",
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abc"),
    "memoryview float": lambda: memoryview(array.array("d", [1.0, 2.0])),
    "Fraction": lambda: fractions.Fraction(1, 3),
    "Decimal": lambda: decimal.Decimal("1.50"),
    "Decimal nan": lambda: decimal.Decimal("-Infinity"),
    "date": lambda: datetime.date(2026, 11, 29),
    "datetime": lambda: datetime.datetime(2026, 11, 29, 12, 30, 5, 17),
    "datetime with zone": lambda: datetime.datetime(2026, 11, 29, 12, 30, tzinfo=_ZONE),
    "time": lambda: datetime.time(12, 30),
    "timedelta": lambda: datetime.timedelta(days=-1, microseconds=5),
    "UUID": lambda: uuid.UUID(int=5),
    "Path": lambda: pathlib.PurePath("a/b"),
    "slice": lambda: slice(1, None, 2),
    "range": lambda: range(2, 20, 3),
    "range empty": lambda: range(0),
    "list empty": lambda: [],
    "list int": lambda: [1, 2, 3],
    "list float": lambda: [0.5, 1.5],
    "list bool": lambda: [True, False],
    "list complex": lambda: [1j, 2.0 + 0j],
    "list str": lambda: ["a", "\u00e9"],
    "list bytes": lambda: [b"a", b"bc"],
    "list bytes with NUL": lambda: [b"a\0", b"bc"],
    "list int and float": lambda: [1, 2.5],
    "list int and bool": lambda: [1, True],
    "list float and complex": lambda: [1.5, 2j],
    "list float and np.float64": lambda: [0.0, np.mean([1.0, 2.0])],
    "list float and np.float32": lambda: [0.1, np.float32(0.1)],
    "list int and np.int64": lambda: [1, np.int64(2)],
    "list int and np.uint8": lambda: [1, np.uint8(2)],
    "list int64 and uint64": lambda: [np.int64(-1), np.uint64(2**63)],
    "list np.float32": lambda: [np.float32(1), np.float32(2)],
    "list np.bool_": lambda: [np.True_, np.False_],
    "list int too large for float": lambda: [2**62 + 1, 0.5],
    "list 2**63": lambda: [2**63, 1],
    "list 2**63 and -1": lambda: [2**63, -1],
    "list 2**70": lambda: [2**70, 1],
    "list mixed text": lambda: [1, "a"],
    "list None": lambda: [None, 1.0],
    "list of lists": lambda: [[1, 2], [3, 4]],
    "list of lists of str": lambda: [["a", "b"], ["c", "d"]],
    "list of tuples": lambda: [(1, 2.5), (3, 4.5)],
    "list of tuple and list": lambda: [(1, 2), [3, 4]],
    "list of empty lists": lambda: [[], []],
    "list ragged": lambda: [[1], [2, 3]],
    "list ragged arrays": lambda: [np.arange(2), np.arange(3)],
    "list ragged str": lambda: [["a"], ["b", "c"]],
    "list of arrays": lambda: [np.zeros(3), np.ones(3)],
    "list of arrays of types": lambda: [np.zeros(3, int), np.ones(3)],
    "list of array and list": lambda: [np.zeros(3), [1.0, 2.0, 3.0]],
    "list of 0-d arrays": lambda: [np.array(1.0), np.array(2.0)],
    "list of scalar and 0-d array": lambda: [1.0, np.array(2.0)],
    "list of images": lambda: [np.zeros((4, 5), np.uint16)] * 3,
    "list 20 deep": lambda: _nested(20),
    "list 40 deep": lambda: _nested(40),
    "list of dicts": lambda: [{"a": 1}, {"a": 2}],
    "list of datetime64": lambda: [np.datetime64("2026-11-29"), np.datetime64("2026-11-30")],
    "list np.bytes_": lambda: [np.bytes_(b"a"), np.bytes_(b"bc")],
    "list np.void": lambda: [np.void(b"ab"), np.void(b"cd")],
    "list of records": lambda: list(_records(a="<i4", b="<f8")),
    "list IntEnum": lambda: [Level.HIGH, 4],
    "list of masked": lambda: [np.ma.array([1.0, 2.0], mask=[True, False])] * 2,
    "list of Series": lambda: [pd.Series([1.0, 2.0]), pd.Series([3.0, 4.0])],
    "list of HasArray": lambda: [np.ones((2, 3)), np.zeros((2, 3))],
    "list of Fractions": lambda: [fractions.Fraction(1, 2), fractions.Fraction(1, 3)],
    "list of Decimals": lambda: [decimal.Decimal("0.1"), decimal.Decimal("0.2")],
    "tuple": lambda: (1, 2),
    "tuple empty": lambda: (),
    "tuple mixed": lambda: (1, "a", None),
    "tuple of arrays": lambda: (np.zeros(2), np.ones(2)),
    "dict": lambda: {"a": 1, "b": [1.0, 2.0]},
    "dict empty": lambda: {},
    "dict int keys": lambda: {1: "a", 2: "b"},
    "dict frozenset keys": lambda: {frozenset({0, 1}): 0.99},
    "dict tuple keys": lambda: {(0, 1): 0.5, (frozenset({1}),): 2},
    "dict of arrays": lambda: {"x": np.arange(3), "y": np.zeros((2, 2))},
    "dict of masked": lambda: {"x": np.ma.array([1, 2], mask=[False, True])},
    "dict jsonclass": lambda: {"__jsonclass__": ["x", []]},
    "dict nested": lambda: {"a": {"b": {"c": [None, {1: 2}]}}},
    "OrderedDict": lambda: collections.OrderedDict([("b", 1), ("a", 2)]),
    "defaultdict": lambda: collections.defaultdict(list, {"a": [1]}),
    "Counter": lambda: collections.Counter("aab"),
    "set": lambda: {1, 2, 3},
    "set of str": lambda: {"a", "b"},
    "set empty": lambda: set(),
    "frozenset": lambda: frozenset({1, 2}),
    "set of frozensets": lambda: {frozenset({1}), frozenset({2})},
    "subclass of list": lambda: Numbers([1.0, 2.0]),
    "subclass of list ragged": lambda: Numbers([[1], [2, 3]]),
    "subclass of dict": lambda: Settings(a=1),
    "subclass of float": lambda: Volts(1.5),
    "subclass of int": lambda: Count(7),
    "IntEnum": lambda: Level.HIGH,
    "namedtuple": lambda: Point(1.0, 2.0),
    "np.float64": lambda: np.float64(1.5),
    "np.float32": lambda: np.float32(1.5),
    "np.float16": lambda: np.float16(1.5),
    "np.longdouble": lambda: np.longdouble(1) / 3,
    "np.clongdouble": lambda: np.clongdouble(1 + 2j) / 3,
    "np.int8": lambda: np.int8(-5),
    "np.uint64": lambda: np.uint64(2**64 - 1),
    "np.bool_": lambda: np.True_,
    "np.complex64": lambda: np.complex64(1j),
    "np.str_ with NUL": lambda: np.str_("a\0b"),
    "np.bytes_": lambda: np.bytes_(b"abc"),
    "np.bytes_ empty": lambda: np.bytes_(b""),
    "np.void": lambda: np.void(b"\x89PNG\0data"),
    "np.void of zeros": lambda: np.void(b"\0\0"),
    "np.datetime64": lambda: np.datetime64("2026-11-29T12:30", "ns"),
    "np.datetime64 NaT": lambda: np.datetime64("NaT"),
    "np.timedelta64": lambda: np.timedelta64(5, "us"),
    "record scalar": lambda: _records(a="<i4", b="<f8")[0],
    "array": lambda: np.arange(6.0).reshape(2, 3),
    "array 0-d": lambda: np.array(5.0),
    "array 0-d str": lambda: np.array("abc"),
    "array empty": lambda: np.zeros((0, 3)),
    "array empty int": lambda: np.array([], np.int8),
    "array fortran": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "array strided": lambda: np.arange(20)[::-3],
    "array big endian": lambda: np.arange(3, dtype=">f8"),
    "array bool": lambda: np.array([True, False]),
    "array float16": lambda: np.arange(3, dtype=np.float16),
    "array longdouble": lambda: np.arange(3, dtype=np.longdouble) / 3,
    "array clongdouble": lambda: np.arange(3, dtype=np.clongdouble) / 3,
    "array complex": lambda: np.arange(3) * 1j,
    "array nan": lambda: np.array([1.0, np.nan, np.inf]),
    "array U": lambda: np.array(["a", "\u00e9b"]),
    "array U 2-d": lambda: np.array([["a", "b"], ["c", "d"]]),
    "array U invalid": _odd_text,
    "array S": lambda: np.array([b"a", b"bc"]),
    "array V": lambda: np.array([b"ab\0", b"cde"], "V3"),
    "array StringDType": lambda: np.array(["a", "long text " * 20], np.dtypes.StringDType()),
    "array datetime64": lambda: np.array(["2026-11-29", "NaT"], "M8[D]"),
    "array timedelta64": lambda: np.arange(3).astype("m8[ms]"),
    "array of objects numbers": lambda: _objects(1, 2.5),
    "array of objects str": lambda: _objects("a", "bc"),
    "array of objects bytes": _bytes_array,
    "array of objects 2-d str": lambda: _objects("a", "b", "c", "d").reshape(2, 2),
    "array of objects mixed": lambda: _objects(1, "a", None),
    "array of objects lists": lambda: _objects([1], [2, 3]),
    "array of objects arrays": lambda: _objects(np.arange(2), np.arange(3)),
    "array of objects 0-d": lambda: np.array({"a": 1}, object),
    "array records": lambda: _records(a="<i4", b="<f8"),
    "array records with subarray": lambda: _records(a="<i4", b=("<f8", (2, 2))),
    "array records nested": lambda: np.zeros(2, [("p", [("x", "<f4"), ("y", "<f4")]), ("n", "<i8")]),
    "array records padded": _padded,
    "array records with titles": _titled,
    "array records with text": lambda: np.array([(1, "ab")], [("a", "<i4"), ("b", "<U4")]),
    "array records with bytes": lambda: np.array([(1, b"ab")], [("a", "<i4"), ("b", "S4")]),
    "array records with bool": lambda: np.array([(True, 1)], [("a", "?"), ("b", "<i4")]),
    "array records with dates": lambda: np.array([("2026-11-29", 1)], [("a", "M8[D]"), ("b", "<i4")]),
    "array records with longdouble": lambda: _records(a="g", b="u1"),
    "array with metadata": lambda: np.arange(3, dtype=np.dtype("<i4", metadata={"odd": object})),
    "array enum": lambda: np.array([0, 1], h5py.enum_dtype({"OFF": 0, "ON": 1}, "u1")),
    "array h5py strings": lambda: np.array(["a", "b"], h5py.string_dtype()),
    "array 32 dimensions": lambda: np.zeros((1,) * 32),
    "array 33 dimensions": lambda: np.zeros((1,) * 33),
    "array 64 dimensions": lambda: np.zeros((1,) * 64),
    "array large": lambda: np.arange(100_000.0).reshape(100, 1000),
    "array read-only": lambda: np.broadcast_to(np.arange(3), (2, 3)),
    "matrix": lambda: np.asmatrix([[1, 2], [3, 4]]),
    "recarray": lambda: _records(a="<i4", b="<f8").view(np.recarray),
    "chararray": lambda: np.char.array([b"ab", b"c"]),
    "subclass of ndarray": lambda: np.arange(3.0).view(Frame),
    "masked": lambda: np.ma.array(np.arange(2000.0), mask=np.arange(2000) % 3 == 0),
    "masked without mask": lambda: np.ma.array([1.0, 2.0]),
    "masked 2-d int": lambda: np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [True, False]], fill_value=9),
    "masked records": lambda: np.ma.array([(1, 2.0)], mask=[(True, False)], dtype=[("a", int), ("b", float)]),
    "masked 0-d": lambda: np.ma.array(5.0, mask=False),
    "masked constant": lambda: np.ma.masked,
    "masked mean": lambda: np.ma.mean(np.ma.array([1.0, 2.0], mask=True)),
    "array.array": lambda: array.array("d", [1.0, 2.0]),
    "array.array int": lambda: array.array("h", [1, 2]),
    "pd.Series": lambda: pd.Series([1.0, 2.0], index=[10, 20], name="s"),
    "pd.Series str": lambda: pd.Series(["a", "bc"]),
    "pd.Series str index": lambda: pd.Series([1, 2], index=["a", "b"]),
    "pd.Series dates": lambda: pd.Series(pd.date_range("2026-11-29", periods=3)),
    "pd.Series category": lambda: pd.Series(["a", "b", "a"], dtype="category"),
    "pd.Series nullable": lambda: pd.Series([1, None, 3], dtype="Int64"),
    "pd.Series bool": lambda: pd.Series([True, False]),
    "pd.Series empty": lambda: pd.Series([], dtype=float),
    "pd.Index": lambda: pd.Index([1, 2, 3], name="i"),
    "pd.RangeIndex": lambda: pd.RangeIndex(4),
    "pd.DatetimeIndex": lambda: pd.date_range("2026-11-29", periods=3),
    "pd.MultiIndex": lambda: pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]),
    "pd.DataFrame": lambda: pd.DataFrame(_FRAME),
    "pd.DataFrame int and float": lambda: pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}),
    "pd.DataFrame mixed": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=["p", "q"]),
    "pd.DataFrame int columns": lambda: pd.DataFrame(np.arange(6).reshape(2, 3)),
    "pd.DataFrame empty": lambda: pd.DataFrame(),
    "pd.Timestamp": lambda: pd.Timestamp("2026-11-29 12:30:00.123456789"),
    "pd.Timestamp with zone": lambda: pd.Timestamp("2026-11-29 12:30", tz="Europe/Berlin"),
    "pd.Timedelta": lambda: pd.Timedelta("1 days 00:00:01"),
    "pd.NaT": lambda: pd.NaT,
    "pd.NA": lambda: pd.NA,
    "xr.DataArray": lambda: xr.DataArray(np.arange(6.0).reshape(2, 3), {"x": [1, 2]}, ["x", "y"], "d", {"units": "V"}),
    "xr.DataArray plain": lambda: xr.DataArray(np.arange(3)),
    "xr.DataArray str coordinate": lambda: xr.DataArray([1.0, 2.0], {"ion": ["a", "b"]}, ["ion"]),
    "xr.DataArray str": lambda: xr.DataArray(["a", "b"]),
    "xr.Dataset": lambda: xr.Dataset({"a": ("x", [1.0, 2.0]), "b": 5}, {"x": [10, 20]}, {"title": "t"}),
    "xr.Variable": lambda: xr.Variable(["x"], [1.0, 2.0], {"units": "s"}),
}  # fmt: skip
CASES: dict[str, Case] = {
    **{name: Case(make) for name, make in _plain.items()},
    "array records with objects": Case(
        lambda: np.array([({"x": 1}, 1)], [("a", "O"), ("b", "<i4")]), lambda: [({"x": 1}, 1)]
    ),
    "bytes with NUL": Case(lambda: b"\0\1\2", is_native=True),
    "list np.str_": Case(lambda: [np.str_("a"), np.str_("bc")], is_native=True),
    "list str and np.str_": Case(lambda: ["a", np.str_("bc")], is_native=True),
    "subclass of str": Case(lambda: Text("abc"), is_native=True),
    "StrEnum": Case(lambda: Word.ONE, is_native=True),
    "np.str_": Case(lambda: np.str_("abc"), is_native=True),
    "Enum": Case(lambda: Color.RED, lambda: "red"),
    "Flag": Case(lambda: Bits.A | Bits.B, lambda: 3),
    "dataclass": Case(lambda: Fit(1.0, np.eye(2)), lambda: {"center": 1.0, "covariance": np.eye(2)}),
    "SimpleNamespace": Case(lambda: types.SimpleNamespace(a=1, b=[2.0]), lambda: {"a": 1, "b": [2.0]}),
    "Mapping": Case(Table, lambda: {"a": np.arange(3), "b": [1, None]}),
    "mappingproxy": Case(lambda: types.MappingProxyType({"a": 1}), lambda: {"a": 1}),
    "dict keys": Case(lambda: {"a": 1, "b": 2}.keys(), lambda: {"a", "b"}),
    "dict values": Case(lambda: {"a": 1, "b": 2}.values(), lambda: [1, 2]),
    "deque": Case(lambda: collections.deque([1.0, 2.0]), lambda: [1.0, 2.0]),
    "deque mixed": Case(lambda: collections.deque([1, "a"]), lambda: [1, "a"]),
    "deque ragged": Case(lambda: collections.deque([[1], [2, 3]]), lambda: [[1], [2, 3]]),
    "UserList": Case(lambda: collections.UserList([1, 2]), lambda: [1, 2]),
    "UserDict": Case(lambda: collections.UserDict({"a": 1}), lambda: {"a": 1}),
    "UserString": Case(lambda: collections.UserString("abc"), lambda: "abc", is_native=True),
    "__array__": Case(HasArray, lambda: np.arange(6.0).reshape(2, 3)),
    "__array_interface__": Case(HasInterface, lambda: np.arange(4, dtype=np.uint16)),
    "sequence protocol": Case(Sequence, lambda: [0.0, 0.5, 1.0]),
    "quantity": Case(lambda: np.arange(3.0).view(Quantity), lambda: np.arange(3.0)),
    "ctypes": Case(_c_numbers, lambda: np.arange(1.0, 4.0)),
    "list of namedtuples": Case(lambda: [Point(1.0, 2.0), Point(3.0, 4.0)], lambda: [(1.0, 2.0), (3.0, 4.0)]),
    "list of dates": Case(lambda: [datetime.date(2026, 11, 29)] * 2),
    "list of Timestamps": Case(lambda: [pd.Timestamp("2026-11-29")] * 2),
    "list with masked constant": Case(lambda: [1.0, np.ma.masked]),
    "list of Enums": Case(lambda: [Color.RED, Color.RED], lambda: ["red", "red"]),
    "pd.Categorical": Case(lambda: pd.Categorical(["a", "b"]), lambda: _objects("a", "b")),
    "object": Case(Opaque, is_text=True),
    "class": Case(lambda: dict, is_text=True),
    "function": Case(lambda: math.sin, is_text=True),
    "generator": Case(lambda: (number for number in range(3)), is_text=True),
    "list of objects": Case(lambda: [1, Opaque()], is_text=True),
}


def equal(one: Any, other: Any) -> bool:
    """Return whether a value that was read is the one that was set: at every depth, where 1 is 1.0, and NaN itself."""
    if one is other:
        return True
    if isinstance(other, pd.Series | pd.DataFrame | pd.Index):
        return (type(one) is type(other) and bool(one.equals(other))) or _same_index(one, other)
    if isinstance(other, xr.DataArray | xr.Dataset | xr.Variable):
        known: Any = other
        return type(one) is type(known) and bool(known.identical(one))
    if isinstance(other, np.ma.MaskedArray):
        return (
            isinstance(one, np.ma.MaskedArray)
            and np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
            and equal(np.asarray(one.data), np.asarray(other.data))
            and equal(one.fill_value, other.fill_value)
        )
    if isinstance(other, array.array | bytearray | memoryview):
        other = np.asarray(other)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray)
            and isinstance(other, np.ndarray)
            and _same_arrays(one, np.asarray(other))
        )
    if isinstance(other, list | tuple):
        return isinstance(one, list | tuple) and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(other, dict):
        return (
            isinstance(one, dict)
            and len(one) == len(other)
            and all(equal(part, value) for part, value in zip(one, other, strict=True))
            and all(map(equal, one.values(), other.values()))
        )
    if is_dataclass(other) and not isinstance(other, type):
        return all(equal(one[field.name], getattr(other, field.name)) for field in fields(other))
    return bool(one == other) or bool(one != one and other != other) or str(one) == str(other) == "NaT"


def _same_index(one: Any, other: Any) -> bool:
    return isinstance(one, pd.Index) and isinstance(other, pd.Index) and bool(one.equals(other))


def _same_arrays(one: Any, other: Any) -> bool:
    if one.shape != other.shape or (
        one.dtype.kind != other.dtype.kind and {one.dtype.kind, other.dtype.kind} != set("TO")
    ):
        return False
    if one.dtype.names is not None:
        return one.dtype == other.dtype and all(
            _same_arrays(one[name], other[name]) for name in one.dtype.names
        )
    if one.dtype.kind in "OT":
        return all(map(equal, one.reshape(-1).tolist(), other.reshape(-1).tolist()))
    if one.dtype.kind in "fcmM":
        return bool(np.array_equal(one, other, equal_nan=True))
    return bool(one.tobytes() == other.astype(one.dtype).tobytes())
