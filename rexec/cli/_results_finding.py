"""The parsers of `rexec results` for finding runs: list, find, export, comment, tag."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from devicedb.cli.wildcards import NamedFiles

RUN: Final = "result file, or a run by its number, last, last:CLASS, or -2 (the one before the last)"
"""What is said of an argument that names a run."""

_LIST: Final = "rexec.cli._results_list"

_QUERY: Final = """a query is terms, all of which must be true:
  class=Ramsey  class=Ram*  file=scan.py  person=alice  host=lab1  program=rexec
  rid=42  rid=40..60  status=running,killed  kind=artiq  simulated=no
  time=2026-11-01..  time=monday  since=yesterday  since=2h  until=2026-11
  exposure>5ms  phase=0.1..0.3  mode=fast  label~test  argument.time<5
  dataset=signal  device=camera  tag=paper  comment~drift
  git=3f9a21  dirty=yes  db=77e1c0  code=10be4d
A word alone is looked for in class, arguments, comment, tags and file name. A name that is no field is that of an
argument or of a dataset with one value. Operators: = != < <= > >= and ~ (contains). Commas separate alternatives.
"""


def add_finding(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add these parsers by a function that takes name, handler, help, statuses and examples."""
    listing = add(
        "list",
        f"{_LIST}:list_runs",
        "list runs, the newest first",
        "0 they are listed, 2 there is no such folder",
        "",
        "--since monday --limit 0",
        "--paths --limit 5",
    )
    listing.add_argument(
        "--since", metavar="TIME", help="only runs since this time: 2026-11-01, monday, yesterday, 14:05, 2h"
    )
    _add_form(listing)
    find = add(
        "find",
        f"{_LIST}:find_runs",
        "find runs by class, arguments, datasets, time, person, status, code",
        "0 some were found, 1 none was, 2 the query is not understood",
        "class=Ramsey 'phase>0.1' since=monday",
        "'exposure=1ms..5ms' status=failed --json",
        more=_QUERY,
    )
    find.add_argument("query", metavar="QUERY", nargs="+", help="terms of the query, see below")
    _add_form(find)
    export = add(
        "export",
        f"{_LIST}:export_runs",
        "write runs as CSV, Parquet, JSON, NetCDF or Zarr",
        "0 it is written, 2 it cannot be",
        "class=Ramsey since=monday -o ramsey.csv",
        "41 42 43 -d signal -o fringes.parquet",
        "rid=40..60 -d signal -d image -o scans.nc",
        more="CSV, Parquet and JSON have a row a run (with -d a row a point), NetCDF and Zarr the arrays along `run`.\n"
        "Numbers are in base units, which headings and attributes name.",
    )
    export.add_argument(
        "query",
        metavar="RUN|QUERY",
        nargs="+",
        help="runs by their numbers or last, or what is true of them (find)",
    )
    export.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="file: .csv, .parquet, .json, .nc or .zarr",
    )
    export.add_argument(
        "-d",
        "--dataset",
        metavar="DATASET",
        action="append",
        default=[],
        help="a dataset that is wanted, may be repeated (default: arguments and single values; in .nc and .zarr all)",
    )
    export.add_argument("--overwrite", action="store_true", help="replace FILE (default: refuse)")
    add_in(export)
    comment = add(
        "comment",
        f"{_LIST}:comment_run",
        "note a comment on a run, beside its file",
        "0 it is noted or shown, 2 it cannot be",
        "42 'good contrast'",
        "last",
    )
    comment.add_argument("file", metavar="RUN", action=NamedFiles, help=RUN)
    comment.add_argument(
        "text",
        metavar="TEXT",
        nargs="*",
        help="the new comment, which replaces the present one (default: show that)",
    )
    add_in(comment)
    tag = add(
        "tag",
        f"{_LIST}:tag_run",
        "give tags to a run, beside its file",
        "0 it has them, 2 it cannot have them",
        "42 paper reference",
        "42 --remove reference",
    )
    tag.add_argument("file", metavar="RUN", action=NamedFiles, help=RUN)
    tag.add_argument("tags", metavar="TAG", nargs="*", help="one word each (default: show the tags)")
    tag.add_argument(
        "--remove", metavar="TAG", nargs="*", help="take these tags away, and those named before"
    )
    add_in(tag)


def add_in(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of results."""
    parser.add_argument(
        "--in",
        dest="folder",
        metavar="FOLDER",
        type=Path,
        help="folder of results in which runs are looked for (default: results in the current folder)",
    )


def _add_form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit",
        metavar="COUNT",
        type=_count,
        help="maximum number of runs; 0: all (default: 30, with --json and --paths all)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print what is known of them as a JSON array")
    form.add_argument("--paths", action="store_true", help="print the path of each, a line each")
    parser.add_argument(
        "--check",
        action="store_true",
        help="look at each file for changes that other programs made in place (default: in a folder of over 5,000 "
        "files, at the recent ones and some others)",
    )
    add_in(parser)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs")
    return int(text)
