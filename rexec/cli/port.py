"""`rexec port`: changes a program's imports of the reference library to ours."""

import argparse
import io
import tokenize
from collections.abc import Sequence
from pathlib import Path

from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_error
from devicedb.cli.wildcards import NamedFiles
from devicedb.opening import why_not_opened
from devicedb.output import print_document, unified_diff
from devicedb.whole_file import read_whole, write_whole
from rexec.cli.errors import CommandError
from rexec.sipyco.rewriting import rewrite


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec port",
        usage="rexec port [options] FILE [FILE ...]",
        description="Show how imports of sipyco become imports of rexec, and name what has no counterpart.\n\n"
        "Nothing but imports is changed. `python -m rexec.sipyco PROGRAM` runs a program without any change.",
        epilog="examples:\n  rexec port aqctl_lamp.py\n  rexec port --write lamp/*.py\n\n"
        "Exit status: 0 all imports have counterparts, 1 some have none (they are left as they are), 2 bad input.",
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, action=NamedFiles, help="Python source"
    )
    parser.add_argument(
        "--write", action="store_true", help="change the files (default: show the difference)"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Show or make the change."""
    arguments = get_argparser().parse_args(argv)
    lacking = False
    for path in arguments.files:
        source, encoding = _read(path)
        try:
            result = rewrite(source)
        except (SyntaxError, tokenize.TokenError) as error:
            line = getattr(error, "lineno", None) or 1
            raise CommandError(f"{path}:{line}: this is no Python 3: {error.args[0]}") from None
        lacking = lacking or bool(result.remarks)
        for remark in result.remarks:
            say_error(f"{path}:{remark.line}: {remark.text}")
        if arguments.write and result.changes:
            write_whole(path, result.text.encode(encoding))
            say(f"{path}: {result.changes} changed")
        elif not arguments.write:
            print_document(unified_diff(source, result.text, str(path)))
    return int(lacking)


def _read(path: Path) -> tuple[str, str]:
    """Return text and encoding of a source file, its line ends as they are."""
    try:
        data = read_whole(path)
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        return data.decode(encoding), encoding
    except OSError as error:
        raise CommandError(f"{path}: {why_not_opened(error)}") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: cannot be read as Python source: {error}") from None
