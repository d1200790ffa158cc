"""The arguments of an experiment: those of an earlier run, of a file, and of the command line, which overrides both."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devicedb.whole_file import no_utf16
from rexec.cli.errors import CommandError
from rexec.experiment.typed import Typed, parse_arguments
from rexec.wire import pyon, pyon_v1


def given_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `--arguments FILE` and of the command line, by key."""
    typed = parse_arguments(options.words)
    return {**(of_file(options.arguments) if options.arguments is not None else {}), **typed}


def of_file(path: Path) -> dict[str, Any]:
    """Return the arguments in a JSON, YAML or PYON file.

    Numbers and texts of JSON and YAML, which people write, mean what they mean on a command line. PYON, which programs
    write, has the values as ARTIQ keeps them: numbers in base units.

    Raises:
        CommandError: It cannot be read, or is not a mapping of names to values.

    """
    try:
        text = no_utf16(path.read_bytes(), path).decode("utf-8-sig")  # editors of Windows begin with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"cannot read arguments from {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    is_yaml, is_pyon = path.suffix in (".yaml", ".yml"), path.suffix == ".pyon"
    try:
        found = _yaml(text) if is_yaml else _pyon(text)
    except (ValueError, TypeError, SyntaxError) as error:
        reason = " ".join(str(error).split())
        raise CommandError(
            f"{path} is not {'YAML' if is_yaml else 'PYON' if is_pyon else 'JSON'}: {reason}"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise CommandError(f'{path} is not a mapping of arguments, such as {{"points": 50}}')
    return found if is_pyon else {key: _as_typed(value) for key, value in found.items()}


def of_run(which: str, folder: Path) -> dict[str, Any]:
    """Return the arguments that an earlier run was given.

    Args:
        which: Its number, another name of it (`rexec.catalogue.run_path`), or its result file.
        folder: The laboratory's.

    Raises:
        CommandError: There is no such run.
        ResultsError: Its file cannot be read.

    """
    # The index of results, and reading them: most runs are not like an earlier one.
    from rexec.catalogue.places import RESULTS
    from rexec.catalogue.references import is_reference, run_path
    from rexec.results import Run

    path = Path(which)
    if is_reference(which):
        if not (folder / RESULTS).is_dir():
            raise CommandError(f"--like {which}: there is no folder {folder / RESULTS} with result files")
        path = run_path(which, folder / RESULTS)
    with Run(path) as run:
        arguments = (run.identity.get("expid") or {}).get("arguments")
    if not isinstance(arguments, Mapping):
        raise CommandError(f"--like {which}: {path} does not say the arguments of its run")
    return dict(arguments)


def _pyon(text: str) -> Any:
    try:
        return pyon.decode(text)
    except (ValueError, TypeError):
        try:
            return pyon_v1.decode(text)
        except (ValueError, TypeError, SyntaxError):
            pass
        raise


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise CommandError("a YAML file needs PyYAML (pip install pyyaml); or write JSON") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _as_typed(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return value
    return Typed(value if isinstance(value, str) else repr(value))
