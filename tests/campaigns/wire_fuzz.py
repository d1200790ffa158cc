"""Coverage-guided fuzzing of the decoders with atheris: `python -m tests.campaigns.wire_fuzz --seconds 60`.

Needs the dependency group `fuzz`. Each target runs in a process of its own, with what real peers have said as first
inputs, at most 1 GiB of memory and 10 s an input. Exit status 1 where a decoder raised something else than what it
documents, took too much, or evaluated something; the input is printed.
"""

import argparse
import builtins
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

VECTORS: Final = Path(__file__).parents[1] / "wire" / "data" / "pyon_vectors.json"
DOCUMENTED: Final = (TypeError, ValueError)


def forbid_evaluation() -> None:
    """Make any evaluation of what was received a crash."""

    def refused(*_: Any, **__: Any) -> Any:
        raise SystemError("a decoder evaluates")

    for name in ("eval", "exec", "compile"):
        setattr(builtins, name, refused)


def targets() -> dict[str, Callable[[bytes], None]]:
    """Return what is fuzzed, by name."""
    from rexec.wire import pyon, pyon_v1
    from rexec.wire._framing import FrameReader
    from rexec.wire._handshake import parse_greeting, parse_methods
    from rexec.wire._protocol import Codec, decode_request
    from rexec.wire.packed_exceptions import exception_from

    def v2(data: bytes) -> None:
        with contextlib.suppress(*DOCUMENTED):
            pyon.decode(data)

    def v1(data: bytes) -> None:
        with contextlib.suppress(*DOCUMENTED):
            pyon_v1.decode(data)

    def conversation(data: bytes) -> None:
        """Everything that a peer's bytes meet: framing, raw buffers, requests, answers and errors in them."""
        reader = FrameReader(limit=1 << 20)
        reader.raw = bool(data[:1] and data[0] & 1)
        codec = Codec(v2=not data[:1] or bool(data[0] & 2), raw=reader.raw)
        rest = memoryview(data)[1:]
        with contextlib.suppress(*DOCUMENTED):
            while len(rest):
                space = reader.space()
                count = min(len(space), len(rest))
                space[:count] = rest[:count]
                rest = rest[count:]
                frame = reader.take(count)
                while frame is not None:
                    request = decode_request(codec, frame)
                    if isinstance(request, dict):
                        exception_from(request.get("exception"), "peer")
                    frame = reader.take()

    def handshake(data: bytes) -> None:
        with contextlib.suppress(*DOCUMENTED):
            parse_greeting(data)
        with contextlib.suppress(*DOCUMENTED):
            parse_methods(pyon.decode(data))

    return {"v2": v2, "v1": v1, "conversation": conversation, "handshake": handshake}


def seeds(folder: Path) -> None:
    """Write first inputs: what a real peer wrote of many values, and the same with raw buffers."""
    from rexec.wire import pyon
    from rexec.wire._protocol import Codec

    for number, vector in enumerate(json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]):
        for version in ("v2", "v1"):
            if version in vector:
                (folder / f"{number}-{version}").write_text(vector[version], encoding="utf-8")
        if "v2" in vector:
            answer = {"id": 1, "ret": [pyon.decode(vector["v2"]), bytes(3000)]}
            message = b"".join(map(bytes, Codec(v2=True, raw=True).encode(answer)))
            (folder / f"{number}-raw").write_bytes(b"\3" + message)


def fuzz(name: str, words: list[str]) -> None:
    """Be the process that fuzzes; does not return."""
    import atheris

    with atheris.instrument_imports(include=["rexec.wire"]):
        function = targets()[name]
    for warm in (b"{}", b"(1,)", b"\3#1 x\n", b"nparray((1,), '<f8', b'')"):
        function(warm)  # what is imported or compiled at first use is there
    forbid_evaluation()
    atheris.Setup([sys.argv[0], *words], function)
    atheris.Fuzz()


def run(name: str, seconds: int) -> tuple[bool, str]:
    """Fuzz one target; return whether it passed, and what is to be said."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        seeds(corpus)
        limits = ["-rss_limit_mb=1024", "-timeout=10", "-max_len=65536", f"-artifact_prefix={folder}/crash-"]
        words = [f"-max_total_time={seconds}", *limits, str(corpus)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.campaigns.wire_fuzz", "--target", name, "--", *words],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        progress = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", done.stderr)
        crashes = [path.read_bytes() for path in Path(folder).glob("crash-*")]
    if done.returncode == 0 and progress:
        inputs, edges, features = progress[-1]
        return True, f"{inputs} inputs, {edges} edges, {features} features: nothing found"
    return False, f"{[crash[:2000] for crash in crashes]}\n{done.stderr[-3000:]}"


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: %(default)s)")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    """Run the campaign, or one target of it."""
    arguments = get_argparser().parse_args()
    if arguments.target:
        fuzz(arguments.target, arguments.words)
    passed = True
    for name in targets():
        good, text = run(name, arguments.seconds)
        passed = passed and good
        print(f"{name:14}{text}", flush=True)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
