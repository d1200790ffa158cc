"""Makes journals of right lengths and checksums that hold anything, and reads them by everything that reads journals.

    python -m tests.campaigns.journals --count 5000

Each journal goes through the fold, recovery (which verifies its file), `rexec results tail`, `show` and `verify`, in a
process with bounds on memory and time. A round fails if anything raises, hangs, takes more memory than the file
justifies, or loses a dataset that was set by a sound record and not touched by an odd one. The exit status is 1 if any
round fails.
"""

import argparse
import contextlib
import io
import json
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from rexec import results
from rexec.cli import results as cli
from rexec.datasets.values import same
from rexec.results import recover, verify
from rexec.results.errors import ResultsError
from rexec.results.journal._encode import Buffer, encode
from rexec.results.journal._superseded import HEAD, MARK, mark_of, mark_place, placed_parts
from rexec.results.journal.records import (
    SHORT_MARKERS,
    Kind,
    Record,
    change_parts,
    frame,
    header,
    key_parts,
)

MEMORY: Final = 2 * 2**30
"""Bytes of address space that a round may take beyond what the program has at its start."""

SECONDS: Final = 20
"""Processor time that a round may take."""

HANG: Final = 300
"""Time that it may take, whatever else the machine does."""

_CHANGE: Final = struct.Struct("<IdB")
_LENGTH: Final = struct.Struct("<Q")


_SOUND: Final = {"rid": 1, "class_name": "Odd", "start_time": 1.0, "expid": {"file": "a.py"}}


class Maker:
    """Writes a journal record by record, sound or odd ones."""

    def __init__(self, seed: int = 0, identity: Any = None) -> None:
        self._parts: list[Buffer] = [header(seed.to_bytes(16, "little"))]
        self._numbers: dict[str, int] = {}
        self.put(Record(Kind.IDENTITY, value=_SOUND if identity is None else identity))

    def number(self, key: str) -> int:
        """Return the number of a name, defined before its first use."""
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._parts += frame(Kind.KEY, key_parts(self._numbers[key], key))
        return self._numbers[key]

    def put(self, record: Record) -> None:
        """Write a record as the product does."""
        number = self.number(record.key)
        self._parts += frame(record.kind, change_parts(record, number))

    def set(self, key: str, value: Any) -> None:
        """Write that a dataset was set."""
        self.put(Record(Kind.SET, key, 1.0, value, {}))

    def record(self, kind: Kind, key: str, value: bytes, *, time: float = 1.0, metadata: bytes = b"") -> None:
        """Write a record whose values are any bytes."""
        number = self.number(key)
        head = _CHANGE.pack(number, time, 8)
        if kind in {Kind.SET, Kind.ARCHIVE}:
            head += metadata or encode({})
        self._parts += frame(kind, [head, value])

    def raw(self, kind: int, body: bytes) -> None:
        """Write a record of any kind and body."""
        self._parts += frame(kind, [body])  # type: ignore[arg-type]

    def short(self, marker: int, number: int, elapsed: int, value: bytes) -> None:
        """Write a short record of any name, time and value."""
        data = struct.pack("<BHI8s", marker, number, elapsed, value)
        self._parts.append(data + struct.pack("<I", zlib.crc32(data)))

    def placed(self, kind: int, key: str, value: bytes, chance: random.Random, *, lost: bool = False) -> None:
        """Write a record whose content is in the bytes of a superseded one, or nowhere."""
        number = self.number(key)
        parts: list[Buffer] = [_CHANGE.pack(number, 1.0, 8), value]
        content = bytes([kind]) + b"".join(parts)
        start = sum(map(len, self._parts))
        room = bytearray(b"".join(frame(Kind.SET, [_CHANGE.pack(number, 1.0, 8), bytes(len(content) + 60)])))
        place = mark_place(start) - start
        room[place : place + MARK] = mark_of(bytes(room[:HEAD]))
        begin = place + MARK
        room[begin : begin + len(content)] = content
        self._parts.append(bytes(room))
        cut = chance.randrange(len(content) + 1)
        pieces = [(start + begin, cut), (start + begin + cut, len(content) - cut)]
        crc = zlib.crc32(content)
        if lost:
            pieces = [
                (chance.getrandbits(64), chance.getrandbits(chance.choice([4, 20, 64]))) for _ in range(3)
            ]
        self._parts += frame(Kind.PLACED, placed_parts(Kind(kind), parts, pieces, crc))

    def journal(self) -> bytes:
        """Return what was written."""
        return b"".join(self._parts)


def tagged(tag: bytes, length: int, data: bytes = b"") -> bytes:
    """Return a value with a tag and any length."""
    return tag + _LENGTH.pack(length) + data


def array_bytes(description: Any, shape: Sequence[int], data: bytes, tag: bytes = b"a") -> bytes:
    """Return an array with any description of its dtype and any shape."""
    text = json.dumps(description).encode() if not isinstance(description, bytes) else description
    return (
        tag + struct.pack("<H", len(text)) + text + struct.pack(f"<B{len(shape)}Q", len(shape), *shape) + data
    )


DESCRIPTIONS: Final[list[Any]] = [
    "<f8", ">i4", "|O", "<M8[ns]", "<m8", "<U3", "|S0", "<U0", "|V4", "|V0", "<g", "<f2", "b", "", 5, None, [], {},
    [["a", "<f8"], ["b", "<i2", [2]]], [["a", "|O"]], [["", "<f8"]], [["a", "<f8"], ["a", "<f8"]], ["<f8"],
    [["a", [["b", "<f8"]]]], [[["title", "a"], "<f8"]], "<f8,<f8", "(2,3)<f8", "<x9", "<M8[3Y]",
    [["a", "<f8", [2**40]]],
    b"not json", b"[[[[", b"\xff\xfe", [["/", "<f8"]], [["a\x00", "<f8"]], [["é", "<f8"]],
]  # fmt: skip


TEXTS: Final = (
    "", "/", "a//b", ".", "..", "a", "a/b", "a/b/c", "\0", "x\0y", "\ud800", "\x1b[31m", "é" * 200, "x" * 70000, "rid",
    "datasets", "rexec", " ", "a\nb", "\U0001f600", "value", "a/value", "CON", "%2E",
)  # fmt: skip

NUMBERS: Final = (0, 1, -1, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64 - 1, 10, 255)

SHAPES: Final[list[tuple[int, ...]]] = [
    (), (1,), (0,), (2, 2), (2**40,), (2**63, 0), (0, 2**63), (1,) * 70, (2**32, 2**32),
]  # fmt: skip


class Odd:
    """Makes odd things by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def pick(self, *choices: Any) -> Any:
        """Return one of some things."""
        return self.chance.choice(choices)

    def text(self) -> str:
        """Return a text of any characters."""
        return str(self.chance.choice(TEXTS))

    def number(self) -> int:
        """Return a number near a bound."""
        return int(self.pick(*NUMBERS, self.chance.getrandbits(40)))

    def value(self, depth: int = 0) -> Any:
        """Return a sound value of any sort."""
        inner = depth < 3
        return self.pick(
            lambda: None, lambda: self.number(), lambda: -self.number(), lambda: 10 ** self.pick(5, 100, 5000),
            lambda: self.pick(0.5, float("nan"), float("inf"), -0.0, 1e308), lambda: complex(1, float("nan")),
            self.text, lambda: self.text().encode("utf-8", "surrogatepass"), lambda: True,
            lambda: np.zeros(self.pick((0,), (3,), (2, 3), (1,) * 20, (0, 5), ())), lambda: np.array(["a", "é"]),
            lambda: np.array(5, "M8[D]"), lambda: np.zeros(3, [("a", "<f8"), ("b", "S3")]), lambda: np.float32(0.5),
            lambda: [self.value(depth + 1) for _ in range(self.pick(0, 1, 3))] if inner else [],
            lambda: tuple(self.value(depth + 1) for _ in range(2)) if inner else (),
            lambda: {self.text(): self.value(depth + 1)} if inner else {},
            lambda: {self.pick(1, None, (1, 2), 0.5): 1}, lambda: {1, "a"}, lambda: slice(self.number(), None, -1),
            lambda: [1.0, 2, np.float64(3)], lambda: [[1, 2], [3]], lambda: [np.zeros(2), np.zeros(3)],
            lambda: [1.5] * 1000,
        )()  # fmt: skip

    def value_bytes(self, depth: int = 0) -> bytes:
        """Return the bytes of a value that is odd in some way."""
        nested = self.pick(5, 150, 250, 5000, 100_000)
        inner: Callable[[], bytes] = (lambda: self.value_bytes(depth + 1)) if depth < 4 else (lambda: b"N")
        made = self.pick(
            lambda: bytes([self.chance.randrange(256)]), lambda: b"", lambda: self.chance.randbytes(20),
            lambda: tagged(b"L", self.number() % 2**64, inner()), lambda: tagged(b"T", 3, inner() + inner()),
            lambda: tagged(b"M", 1, inner() + inner()), lambda: tagged(b"M", 1, encode([1]) + inner()),
            lambda: tagged(b"S", 1, inner()), lambda: tagged(b"S", 2, encode([]) + encode({})),
            lambda: tagged(b"O", 1, inner() + inner()), lambda: tagged(b"L", 1) * nested + b"N",
            lambda: tagged(b"T", 1) * nested + b"i", lambda: tagged(b"M", 1, b"N") * nested + b"N",
            lambda: b":" + inner() + inner() + inner(), lambda: b"/" + inner() + inner(), lambda: b":" * nested,
            lambda: b"/" + encode(1) + encode(0), lambda: b"/" + encode(10**5000) + encode(3),
            lambda: tagged(b"D", 7, b"1234567"), lambda: tagged(b"Q", 2**63), lambda: tagged(b"s", 2, b"\xff\xff"),
            lambda: tagged(b"I", 0), lambda: tagged(b"I", 100_000, b"\x7f" * 100_000),
            lambda: tagged(b"P", 3, b"[1]"), lambda: tagged(b"P", 20, b'{"__jsonclass__":[1]'),
            lambda: tagged(b"P", nested, b"[" * nested),
            lambda: tagged(b"P", 37, b'{"__jsonclass__":["nparray",["x",2]]}'),
            lambda: tagged(b"?", 1, b"x") + _LENGTH.pack(2) + b"\xff\xff",
            lambda: array_bytes(
                self.pick(*DESCRIPTIONS), self.pick(*SHAPES), bytes(self.pick(0, 8, 64)), self.pick(b"a", b"g")
            ),
            lambda: array_bytes(self.pick(*DESCRIPTIONS), self.pick((), (1,), (2,)), bytes(64), self.pick(b"a", b"g")),
            lambda: encode(self.value()), lambda: encode(self.value())[:-1], lambda: encode(self.value()) + b"N",
        )()  # fmt: skip
        data = bytearray(made)
        if data and self.chance.random() < 0.1:
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        return bytes(data)

    def index(self) -> Any:
        """Return an index that means something, or nothing."""
        return self.pick(
            0, -1, 10**30, None, "a", 1.5, True, slice(None), slice(None, None, 0), slice(0, 10**18), slice("a"), (),
            (0, 0), (slice(None), 0), [], [0], [0, 0], [10**20], {}, {1}, b"x", np.array([0]), np.array([True]),
            np.zeros((2, 2), bool), ((0, 1),), float("nan"), slice(None, None, -1), np.array([], int), np.int64(0),
            np.array(0.5), 2**63, (0,) * 70, [[]], [[0]], np.array(["a"]), slice(0.5, 1), 1j,
        )  # fmt: skip

    def identity(self) -> Any:
        """Return the fields of an identity, of which any may be odd."""
        sound = {
            "rid": 1,
            "class_name": "Odd",
            "start_time": 1.0,
            "expid": {"file": "a.py"},
            "sources": {"ab": "text"},
        }
        for _ in range(self.pick(0, 1, 3)):
            names = [
                *sound,
                "run_time",
                "artiq_version",
                "git",
                "versions",
                "host",
                "pid",
                "simulated",
                "recording",
            ]
            sound[self.pick(*names, self.text(), "plot", "problems", "error", "sources/x")] = self.value()
        if self.chance.random() < 0.15:
            sound["recording"] = {"mode": "record"}
        return sound if self.chance.random() < 0.9 else self.value()


def make(seed: int) -> tuple[bytes, dict[str, Any]]:
    """Return a journal, and the datasets that must be in its file whatever else is there."""
    odd = Odd(seed)
    maker = Maker(seed, odd.identity())
    sure: dict[str, Any] = {}
    keys = ["list", "array", "dict", "scalar", odd.text(), odd.text()]
    maker.set("list", [1.0, 2.0, 3.0])
    maker.set("array", np.arange(12.0).reshape(3, 4))
    maker.set("dict", {"a": 1})
    maker.set("scalar", 5)
    for number in range(odd.pick(1, 3, 10, 40)):
        key = odd.pick(*keys)
        what = odd.chance.randrange(14)
        if what == 0:
            maker.record(odd.pick(Kind.SET, Kind.ARCHIVE), key, odd.value_bytes())
        elif what == 1:
            maker.record(
                Kind.SET,
                key,
                encode(odd.value()),
                metadata=odd.pick(odd.value_bytes, lambda: encode(odd.value()))(),
            )
        elif what == 2:
            maker.record(Kind.APPEND, key, odd.pick(odd.value_bytes, lambda: encode(odd.value()))())
        elif what == 3:
            maker.record(Kind.MUTATE, key, odd.value_bytes() + odd.value_bytes())
        elif what == 4:
            maker.put(Record(Kind.MUTATE, key, 1.0, odd.value(), None, odd.index()))
        elif what == 5:
            maker.put(
                Record(
                    odd.pick(Kind.SET, Kind.ARCHIVE),
                    key,
                    1.0,
                    odd.value(),
                    {odd.pick("unit", "scale", "precision", odd.text()): odd.value()},
                )
            )
        elif what == 6:
            maker.put(Record(Kind.APPEND, key, odd.pick(1.0, float("nan"), 1e300, -5.0), odd.value()))
        elif what == 7:
            maker.raw(odd.chance.randrange(256), odd.chance.randbytes(odd.pick(0, 1, 5, 13, 40)))
        elif what == 8:
            maker.put(
                Record(
                    odd.pick(Kind.DELETE, Kind.IDENTITY, Kind.END),
                    key,
                    1.0,
                    odd.pick(odd.value, odd.identity)(),
                )
            )
        elif what == 9:
            note = odd.pick(
                {"storage": {key: {odd.pick("chunks", "dtype", "compression", "level", "x"): odd.value()}}},
                {"storage": {"array": {"chunks": [10**12]}, "list": {"dtype": "i1"}}},
                {"plot": {"signal": odd.value(), "axes": odd.value()}},
                {"plot": {"signal": "array", "axes": ["list", "none"]}},
                {"degraded": odd.value()},
                {
                    "degraded": {
                        "text": odd.pick(odd.value, odd.text)(),
                        "holds": odd.pick(True, False, 1, None),
                    }
                },
                {"comparison": odd.value()},
                {"comparison": {"lost": odd.value(), "time": odd.value()}},
                {odd.text(): odd.value()},
            )
            for name, value in note.items():
                maker.put(Record(Kind.NOTE, name, 1.0, value))
        elif what == 10:
            maker.raw(
                odd.pick(3, 4, 5, 7), _CHANGE.pack(odd.chance.getrandbits(16), 1.0, 255) + odd.value_bytes()
            )
        elif what == 11:
            name = odd.pick(maker.number(key), odd.chance.getrandbits(16))
            elapsed, value = odd.chance.getrandbits(32), odd.chance.randbytes(8)
            maker.short(odd.pick(*sorted(SHORT_MARKERS)), name, elapsed, value)
        elif what == 12:
            kind = odd.pick(Kind.SET, Kind.APPEND, Kind.MUTATE, Kind.NOTE, Kind.PLACED, Kind.KEY)
            head = encode({}) if kind is Kind.SET and odd.chance.random() < 0.7 else b""
            maker.placed(
                kind, key, head + odd.pick(odd.value_bytes, lambda: encode(odd.value()))(), odd.chance
            )
        else:
            sure[f"sure {number}"] = value = odd.pick(
                number, [number * 0.5], f"text {number}", np.arange(number + 1)
            )
            maker.set(f"sure {number}", value)
    if odd.chance.random() < 0.2:
        maker.placed(Kind.SET, "scalar", encode({}) + encode(1), odd.chance, lost=True)
    return maker.journal(), sure


@contextlib.contextmanager
def bounded(size: int) -> Any:
    """Bound memory and time of a block."""
    try:
        import resource
    except ImportError:  # Windows: the round is bounded by nothing
        yield
        return

    def late(number: int, _: object) -> None:
        raise TimeoutError(f"it took over {HANG if number == signal.SIGALRM else SECONDS} s")

    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        if sys.platform == "linux"
        else 0
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = [(number, signal.signal(number, late)) for number in (signal.SIGALRM, signal.SIGPROF)]
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY // 4 + 64 * size, hard))
    signal.alarm(HANG)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in before:
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def run_command(*arguments: str) -> int:
    """Run `rexec results` in this process; what it prints is dropped."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return cli.main(list(arguments))


def is_kept(run: results.Run, key: str, value: Any) -> bool:
    """Return whether a dataset is in a file as it was set."""
    return key in run and same(run[key], value)


def one_round(folder: Path, seed: int) -> tuple[str, str]:
    """Make a journal and read it by everything; return what became of it, and what is wrong."""
    data, sure = make(seed)
    path = folder / f"{seed}.h5"
    journal = path.with_name(path.name + ".journal")
    journal.write_bytes(data)
    try:
        with bounded(len(data)):
            run_command("tail", str(path), "--no-follow", "-n", "1000")
            recovery = recover(journal)
            if recovery.path is None:
                return (
                    recovery.outcome,
                    "" if recovery.outcome == "empty" and not sure else f"recovery: {recovery}",
                )
            if problems := verify(recovery.path):
                return recovery.outcome, f"verify: {problems}"
            with contextlib.suppress(ResultsError):
                run_command("show", str(path))
            run_command("verify", str(path))
            with results.open(recovery.path) as run:
                # From where it says that it is a recording, datasets become columns.
                columns = {name.partition("/")[0] for name in run if name not in sure}
                lost = [
                    key for key, value in sure.items() if key not in columns and not is_kept(run, key, value)
                ]
                return recovery.outcome, f"lost: {lost}" if lost else ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "raised", f"{type(error).__name__}: {error!s:.200} at {Path(last.filename).name}:{last.lineno}"


def campaign(count: int, first: int) -> Counter[str]:
    """Do so many rounds and return how often what happened; failures begin with FAILED."""
    happened: Counter[str] = Counter()
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            what, wrong = one_round(Path(folder), seed)
        happened[what] += 1
        if wrong:
            happened["FAILED"] += 1
            print(f"FAILED round {seed} ({what}): {wrong}", flush=True)
    return happened


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000, help="journals (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="number of the first one (default: %(default)s)")
    arguments = parser.parse_args(argv)
    begun = time.monotonic()
    happened = campaign(arguments.count, arguments.seed)
    failed = happened.pop("FAILED", 0)
    for what, count in sorted(happened.items()):
        print(f"{count:6}  {what}")
    print(f"{failed:6}  failed, of {arguments.count} journals in {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
