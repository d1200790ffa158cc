"""Makes interpreters that have the reference library or ARTIQ, from checkouts that you name, for tests against them.

    python -m tests.interop.peers FOLDER --library 1.10=CHECKOUT --artiq 9=CHECKOUT --manager CHECKOUT

CHECKOUT is a clone, or a clone and what to take of it: `CHECKOUT@v1.9`, `CHECKOUT@release-8`. Each peer gets a virtual
environment in FOLDER, with the packages that it imports, and beside it the sources as they are at that revision. An
interpreter with ARTIQ takes the library that is named last before it: ARTIQ 7 and 8 speak the older encoding of 1.9.
At the end the tests against each are one command, which is printed. What is there already is kept.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path
from typing import Final

LIBRARY_NEEDS: Final = ["numpy", "pybase64"]
ARTIQ_NEEDS: Final = [
    *LIBRARY_NEEDS,
    *(
        "scipy python-dateutil prettytable h5py lmdb pygit2 levenshtein platformdirs aiohttp regex tqdm orjson"
    ).split(),
    *("qasync pyqtgraph rich psutil pydantic prompt_toolkit shtab").split(),
]
OLD_LLVMLITE: Final = "llvmlite==0.44"
"""What the compiler of ARTIQ 7 and 8 works with."""


def taken(checkout: str, target: Path) -> Path:
    """Put the sources of a checkout at a revision into a folder, and return it."""
    clone, _, revision = checkout.partition("@")
    if not target.is_dir():
        with tempfile.TemporaryFile() as archive:
            subprocess.run(["git", "-C", clone, "archive", revision or "HEAD"], stdout=archive, check=True)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as sources:
                sources.extractall(target, filter="data")
    return target


def interpreter(folder: Path, needs: list[str], sources: list[Path], alone: tuple[str, ...] = ()) -> Path:
    """Return an interpreter that has some packages, and the packages in some folders.

    Args:
        folder: Where its environment is made.
        needs: Packages from the index.
        sources: Folders that are added to its path.
        alone: Packages from the index that are installed without what they require.

    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "ready").exists():
        print(f"making {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *needs], check=True)
        for package in alone:
            subprocess.run([*pip, "--no-deps", package], check=True)
        where = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        )
        Path(where.stdout.strip(), "peers.pth").write_text(
            "\n".join(map(str, sources)) + "\n", encoding="utf-8"
        )
        (folder / "ready").touch()
    return python


def importable(python: Path, module: str) -> None:
    """Exit with what an interpreter says unless it can import a module."""
    tried = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True, check=False)
    if tried.returncode:
        sys.exit(f"{python} cannot import {module}:\n{tried.stderr}")


class _Peer(argparse.Action):
    """Keeps the order in which libraries and ARTIQs are named."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        """Add (kind, release, checkout)."""
        release, equals, checkout = values.partition("=")
        if not equals:
            parser.error(f"{option_string} {values}: write RELEASE=CHECKOUT")
        namespace.peers = [*(namespace.peers or []), (self.dest, release, checkout)]


def main() -> None:
    """Make the interpreters, and print the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--library", action=_Peer, metavar="RELEASE=CHECKOUT", help="may be repeated")
    parser.add_argument(
        "--artiq", action=_Peer, metavar="RELEASE=CHECKOUT", help="may be repeated; after its library"
    )
    parser.add_argument(
        "--manager", metavar="CHECKOUT", help="artiq-comtools, for ARTIQ's controller manager"
    )
    parser.set_defaults(peers=None)
    arguments = parser.parse_args()
    folder, words, library = arguments.folder.resolve(), [], None
    folder.mkdir(parents=True, exist_ok=True)
    for kind, release, checkout in arguments.peers or parser.error("name a peer, by --library or --artiq"):
        sources = taken(checkout, folder / f"{kind}-{release}-sources")
        if kind == "library":
            library = sources
            python = interpreter(folder / f"library-{release}", LIBRARY_NEEDS, [sources])
            importable(python, "sipyco.pc_rpc")
        elif library is None:
            parser.error(f"--artiq {release}: name its --library first")
        else:
            further = [taken(arguments.manager, folder / "manager-sources")] if arguments.manager else []
            llvmlite = OLD_LLVMLITE if release in {"7", "8"} else "llvmlite"
            needs = [*ARTIQ_NEEDS, llvmlite]
            python = interpreter(
                folder / f"artiq-{release}", needs, [library, *further, sources], ("pythonparser",)
            )
            importable(python, "artiq.frontend.artiq_run")
        words += [f"--{kind}", f"{release}={python}"]
    print(f"python -m tests.interop.table {' '.join(words)}")


if __name__ == "__main__":
    main()
