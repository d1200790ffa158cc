"""Records what a program does to the files of a folder, by strace: every write, sync, rename and removal in order."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

STRACE: Final = shutil.which("strace")
MARKS: Final = "REXEC_POWER_CUT_MARKS"
"""Environment variable: the file into which the program writes what it promises, and which line syncs."""

_CALLS: Final = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,lseek,sendfile,copy_file_range,ioctl"
)
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<((?:[^<>]|<[^<>]*>)*)>)?.*")
_UNFINISHED: Final = re.compile(r"(\d+) +(\w+\(.*) <unfinished \.\.\.>")
_RESUMED: Final = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE: Final = re.compile(r"(-?\w+)<((?:[^<>]|<[^<>]*>)*)>")


@dataclass(frozen=True)
class Op:
    """One successful system call on a file of the folder.

    Attributes:
        kind: "create", "seek", "write", "copy", "truncate", "extend", "punch", "sync", "rename", "link", "remove",
            "folder", or "mark".
        path: The file; of "sync" perhaps a folder.
        other: The new name, of "rename" and "link"; where the bytes come from, of "copy".
        offset: Where bytes were written; None: behind what was written before. New position, of "seek"; None: each
            write goes to the end.
        data: The bytes.
        size: New length, of "truncate" and "extend" (at least); number of bytes, of "copy" (-1: all) and "punch".
        durable: Whether the bytes are on the disk when the call returns (O_DSYNC).
        thread: Number of the thread that made the call.
        descriptor: The open file: only with it do writes know where the last one ended.
        site: The line of the product that asked for a "sync".
        mark: What the program has promised.

    """

    kind: str
    path: str = ""
    other: str = ""
    offset: int | None = None
    data: bytes = b""
    size: int = 0
    durable: bool = False
    thread: str = ""
    descriptor: str = ""
    site: str = ""
    mark: Any = None


@functools.cache
def hindrance() -> str:
    """Return why nothing can be recorded here, "" if it can."""
    if STRACE is None:
        return "strace is not on the path"
    tried = subprocess.run(
        [STRACE, "-qq", "-e", "trace=none", "true"], capture_output=True, timeout=150, check=False
    )
    return f"strace does not work here: {tried.stderr.decode()[-100:].strip()}" if tried.returncode else ""


def recorded(module: str, arguments: list[str], folder: Path) -> list[Op]:
    """Run `python -m MODULE ARGUMENTS` and return what it did to the files in a folder.

    Raises:
        AssertionError: It failed, or what was recorded does not add up to what is in the folder now.

    """
    assert STRACE is not None
    log, marks = folder.parent / "strace.txt", folder.parent / "marks"
    sites = Path(__file__).with_name("sites")
    options = ["-f", "-qq", "-y", "-xx", "-s", str(1 << 26), "-e", f"trace={_CALLS}", "-e", "signal=none"]
    done = subprocess.run(
        [STRACE, *options, "-o", str(log), sys.executable, "-m", module, *arguments],
        env={**os.environ, MARKS: str(marks), "PYTHONPATH": os.pathsep.join([str(sites), os.getcwd()])},
        capture_output=True,
        text=True,
        timeout=600,  # a campaign gets what others leave of a machine
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ops = [
        op
        for op in parsed(log.read_text(encoding="ascii", errors="replace").splitlines())
        if _within(op, folder, marks)
    ]
    log.unlink()
    return list(_sited(ops, str(marks)))


def _within(op: Op, folder: Path, marks: Path) -> bool:
    if op.path.endswith("-lock"):  # of LMDB: shared memory that means nothing after a start
        return False
    return op.path == str(marks) or op.path == str(folder) or op.path.startswith(f"{folder}{os.sep}")


def _sited(ops: list[Op], marks: str) -> Iterator[Op]:
    """Replace writes into the file of marks by what they say."""
    sites: dict[str, str] = {}
    for op in ops:
        if op.path != marks:
            yield replace(op, site=sites.pop(op.thread, "a library")) if op.kind == "sync" else op
        elif op.kind == "write":
            for line in op.data.decode().splitlines():
                said = json.loads(line)
                if "site" in said:
                    sites[op.thread] = said["site"]
                else:
                    yield Op("mark", mark=said["mark"])


def parsed(lines: list[str]) -> Iterator[Op]:
    """Yield the calls of a log of strace that succeeded, those in several parts where they ended."""
    begun: dict[str, str] = {}
    durable: dict[str, bool] = {}
    for text in lines:
        line = text
        if found := _UNFINISHED.fullmatch(line):
            begun[found[1]] = found[2]
            continue
        if found := _RESUMED.fullmatch(line):
            line = f"{found[1]} {begun.pop(found[1])}{found[3]}"
        found = _LINE.fullmatch(line)
        if found is None or int(found[4]) < 0:
            continue
        name, arguments, result, opened = found[2], found[3], int(found[4]), found[5]
        if name in {"openat", "open", "creat"}:
            descriptor = found[4]
            durable[descriptor] = "SYNC" in arguments
            made = _opened(_path(opened or ""), arguments + " O_CREAT|O_TRUNC" * (name == "creat"))
        else:
            descriptor = arguments.partition("<")[0]
            made = _op(name, arguments, result, is_durable=durable.get(descriptor, False))
        for op in made:
            yield replace(op, thread=found[1], descriptor=descriptor)


def _opened(path: str, flags: str) -> Iterator[Op]:
    if "O_CREAT" in flags:
        yield Op("create", path)
    if "O_TRUNC" in flags:
        yield Op("truncate", path, size=0)
    yield Op("seek", path, offset=None if "O_APPEND" in flags else 0)


def _op(name: str, arguments: str, result: int, *, is_durable: bool) -> Iterator[Op]:
    files = [_path(each) for _, each in _FILE.findall(arguments)]
    texts = [bytes.fromhex(each.replace("\\x", "")) for each in _TEXT.findall(arguments)]
    numbers = [each.strip() for each in arguments.split(",")]
    if name in {"write", "writev", "pwrite64", "pwritev", "pwritev2"}:
        offset = int(numbers[-1 if name != "pwritev2" else -2]) if name.startswith("p") else None
        yield Op(
            "write",
            files[0],
            offset=offset,
            data=b"".join(texts)[:result],
            durable=is_durable,
        )
    elif name == "lseek":
        yield Op("seek", files[0], offset=result)
    elif name == "ftruncate":
        yield Op("truncate", files[0], size=int(numbers[-1]))
    elif name == "truncate":
        yield Op("truncate", texts[0].decode(), size=int(numbers[-1]))
    elif name in {"fsync", "fdatasync"}:
        yield Op("sync", files[0])
    elif name in {"rename", "renameat", "renameat2"}:
        yield _names("rename", texts, files)
    elif name in {"link", "linkat"}:
        yield _names("link", texts, files)
    elif name in {"unlink", "unlinkat", "rmdir"}:
        yield _names("remove", texts, files)
    elif name in {"mkdir", "mkdirat"}:
        yield _names("folder", texts, files)
    elif name == "sendfile":
        yield Op("copy", files[0], other=files[1], size=result)
    elif name == "copy_file_range":
        yield Op("copy", files[1], other=files[0], size=result)
    elif name == "fallocate":
        mode, offset, size = numbers[1], int(numbers[-2]), int(numbers[-1])
        if "PUNCH" in mode:
            yield Op("punch", files[0], offset=offset, size=size)
        elif "KEEP_SIZE" not in mode:
            yield Op("extend", files[0], size=offset + size)
    elif name == "ioctl" and "FICLONE" in arguments:
        yield Op("copy", files[0], other=files[1], size=-1)


def _names(kind: str, texts: list[bytes], folders: list[str]) -> Op:
    """Return a call with one name or two, which may be relative to open folders."""
    names = [text.decode() for text in texts]
    assert all(map(os.path.isabs, names)) or len(folders) == len(names), names
    path, *other = (os.path.join(folder, name) for folder, name in zip(folders or names, names, strict=True))
    return Op(kind, path, other[0] if other else "")


def _path(text: str) -> str:
    """Return a path as strace shows it: bytes that are not plain are escaped."""
    if "\\x" in text:
        text = re.sub(
            r"(?:\\x[0-9a-f]{2})+",
            lambda m: bytes.fromhex(m[0].replace("\\x", "")).decode(errors="replace"),
            text,
        )
    return text.removesuffix(" (deleted)") if text.endswith(" (deleted)") else text
