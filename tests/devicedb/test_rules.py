"""What rules say of facts that are made here: how a file ran, certificates, releases of ARTIQ, circles."""

import base64
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import hits_of, hits_of_file
from devicedb.drivers.signatures import Drivers
from devicedb.model.database import CheckedDatabase
from devicedb.model.facts import FileFacts
from devicedb.model.located import from_plain
from devicedb.model.rule import Hit, Rule, Severity
from devicedb.place import Place
from devicedb.rules.circles import circles
from devicedb.rules.examples import split, write
from devicedb.rules.reference import as_text
from devicedb.rules.rights import common_names

FILE = "/lab/device_db.py"


def error(kind: str, text: str = "said", column: int = 5, **more: Any) -> FileFacts:
    told = {"kind": kind, "text": text, "file": "/lab/other.py", "line": 3, "column": column, **more}
    return FileFacts(FILE, picture={"error": told})


def printed(*prints: tuple[str, int, str], **more: Any) -> FileFacts:
    notes = [{"file": FILE, "line": line, "stream": stream, "text": text} for stream, line, text in prints]
    return FileFacts(FILE, picture={"prints": notes}, **more)


def root(site: int) -> FileFacts:
    return FileFacts(FILE, picture={"root": [7, site], "sites": [[0, 2, 4, 2, 5]], "files": [FILE]})


LONG = "x" * 61


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (error("SyntaxError"), ["DDB001 3:4 syntax error: said"]),
        (error("IndentationError", column=1), ["DDB001 3:0 syntax error: said"]),
        (error("TabError", column=0), ["DDB001 3:0 syntax error: said"]),
        (error("KeyError"), ["DDB002 3:4 running the file raises KeyError: said; there is no database then"]),
        (error("KeyError", ""), ["DDB002 3:4 running the file raises KeyError; there is no database then"]),
        (
            error("ModuleNotFoundError", missing="lab.net"),
            [
                "DDB003 3:4 imports 'lab.net', which is not installed here and not beside the file"
                " (install lab, put lab.py beside the device database, or check with --assume-installed lab)"
            ],
        ),
        (
            error("ModuleNotFoundError"),
            [
                "DDB003 3:4 imports 'said', which is not installed here and not beside the file"
                " (install said, put said.py beside the device database, or check with --assume-installed said)"
            ],
        ),
        (error("SystemExit", "2"), ["DDB007 3:4 calls sys.exit(2), which ends the master that reads it"]),
        (
            FileFacts(FILE, picture={"missing": ["devicedb", "x"]}),
            ["DDB004 1:0 the file defines no global `device_db`. Did you mean 'devicedb'?"],
        ),
        (
            FileFacts(FILE, picture={"missing": []}),
            ["DDB004 1:0 the file defines no global `device_db`."],
        ),
        (root(0), ["DDB005 2:4 `device_db` is of type int, it must be a dict"]),
        (root(-1), ["DDB005 1:0 `device_db` is of type int, it must be a dict"]),
        (
            FileFacts(FILE, "hung", seconds=2.5),
            ["DDB006 1:0 the file did not end in 2.5 s of CPU time, or of waiting, and was stopped"],
        ),
        (FileFacts(FILE, "exited", 3), ["DDB007 1:0 the file ended its process with status 3"]),
        (FileFacts(FILE, "killed", -15), ["DDB008 1:0 running the file crashes the interpreter (SIGTERM)"]),
        (FileFacts(FILE, "bomb"), ["DDB009 1:0 the file starts too many processes; it was stopped"]),
        (
            printed(
                ("stdout", 4, "a"), ("stderr", 4, LONG), ("stdout", 4, "b"), ("stdout", 5, "c"), output="a\n"
            ),
            [
                "DDB010 4:0 this line prints 'a' and 1 more to standard output whenever the file is read",
                f"DDB010 4:0 this line prints {LONG[:60]!r} to standard error whenever the file is read",
                "DDB010 5:0 this line prints 'c' to standard output whenever the file is read",
            ],
        ),
        (
            printed(output=f"\n{LONG}\nmore\n"),
            [f"DDB010 1:0 a program that the file starts prints {LONG[:60]!r} whenever the file is read"],
        ),
        (printed(output=" \n"), []),
        (FileFacts(FILE, "static", output="a", unknown=()), []),
        (
            FileFacts(FILE, "static", unknown=(("a loop", Place(FILE, 3, 1, 3, 1)),)),
            ["DDB011 3:1 not checked, since the file was not run: a loop"],
        ),
        (FileFacts(FILE), []),
    ],
)
def test_how_a_file_ran_is_told_by_one_rule(facts: FileFacts, told: list[str]) -> None:
    found = []
    for rule, hit in hits_of_file(facts, Settings()):
        assert isinstance(hit.site, Place)
        assert (hit.site.line, hit.site.column) == (
            hit.site.end_line,
            hit.site.end_column,
        ) or "DDB005" in rule.code
        assert hit.site.file == (facts.error["file"] if facts.error else FILE)
        hint = f" ({hit.hint})" if rule.code == "DDB003" else ""
        found.append(f"{rule.code} {hit.site.line}:{hit.site.column} {hit.message}{hint}")
    assert found == told


def test_what_a_file_that_failed_printed_is_not_told() -> None:
    failed = {"kind": "KeyError", "text": "", "file": FILE, "line": 1, "column": 0}
    for facts in (
        FileFacts(FILE, picture={"error": failed}, output="a"),
        FileFacts(FILE, "exited", 1, output="a"),
    ):
        assert "DDB010" not in {rule.code for rule, _ in hits_of_file(facts, Settings())}


COMMON_NAME = b"\x06\x03\x55\x04\x03"


def pem(*names: bytes, after: bytes = b"\x30\x00") -> bytes:
    """Return a certificate as far as it is read: each name with its tag and length."""
    der = b"\x30\x03" + b"".join(COMMON_NAME + b"\x0c" + name for name in names) + after
    text = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"", set()),
        (pem(b"\x03bob"), {"bob"}),
        (b"a comment\n" + pem(b"\x03bob") + pem(b"\x02\xc3\xa4"), {"bob", "\xe4"}),
        (pem(b"\x06the CA", b"\x03bob"), {"bob"}),
        (pem(b"\x03bob").replace(b"M", b"!M", 1) + pem(b"\x03eve"), {"eve"}),
        (pem(b"\x01b", after=b""), {"b"}),
        (pem(b"\x00", after=b""), set()),
        (pem(), set()),
        (pem(b"\x7f" + b"b" * 127), {"b" * 127}),
        (pem(b"\x80" + b"b" * 128), set()),
        (pem(b"\x81\x80" + b"b" * 128), set()),
        (pem(b"\x03b\xffb"), {"b\N{REPLACEMENT CHARACTER}b"}),
    ],
)
def test_the_common_name_of_a_certificate_is_that_of_its_subject(text: bytes, names: set[str]) -> None:
    assert common_names(text) == names


def local(module: str, kind: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "local", "module": f"artiq.coredevice.{module}", "class": kind, "arguments": arguments}


def hits(raw: dict[str, Any], code: str, drivers: Drivers) -> list[Hit]:
    db = CheckedDatabase(from_plain(raw), drivers)
    return [hit for rule, hit in hits_of(db, Settings(select=(code,)))]


@pytest.mark.parametrize(
    ("entry", "assumed", "named", "installed"),
    [
        (local("sawg", "SAWG"), "info", "error", "error"),
        (local("i2c", "PCA9548"), "info", "error", "error"),
        (local("ttl", "Laser"), "info", "info", "error"),
    ],
)
def test_a_driver_of_another_release_is_an_error_where_the_release_is_sure(
    entry: dict[str, Any], assumed: str, named: str, installed: str
) -> None:
    for severity, certain in ((assumed, (False, False)), (named, (True, False)), (installed, (True, True))):
        (hit,) = hits({"a": entry}, "DDB502", Drivers("9", *certain))
        assert (hit.severity or Severity.ERROR).value == severity
        assert (hit.repair is not None) == (certain[0] and entry["class"] == "PCA9548")


def test_an_argument_is_removed_where_the_release_is_sure() -> None:
    core = local("core", "Core", host="::1", ref_period=1e-9, external_clock=False)
    cpld = local("urukul", "CPLD", spi_device="core", proto_rev=9)
    for release, is_certain in product(("7", "8"), (False, True)):
        for hit in hits({"core": core, "u": cpld}, "DDB504", Drivers(release, is_certain)):
            assert hit.hint.startswith("remove it: ")
            assert (hit.repair is not None) == is_certain


def test_what_constructing_a_device_raises_is_told() -> None:
    for text, said in (("", ""), ("x", ": x")):
        db = CheckedDatabase(
            from_plain({"a": local("ttl", "TTLOut")}), constructed={"a": {"kind": "KeyError", "text": text}}
        )
        (hit,) = [hit for _, hit in hits_of(db, Settings(select=("DDB515",)))]
        assert (hit.entry, hit.message) == ("a", f"constructing 'a' raises KeyError{said}")


def test_names_that_need_each_other_are_found_in_any_graph() -> None:
    chance = random.Random(1)
    for size in [*range(1, 7)] * 40:
        names = "abcdef"[:size]
        needs = {name: {each for each in names if chance.random() < 1.3 / size} for name in names}
        reached = {name: set(found) for name, found in needs.items()}
        for _ in names:
            for found in reached.values():
                found |= {further for each in found for further in reached[each]}
        wanted = set()
        for name in names:
            if name in reached[name]:
                wanted.add(
                    frozenset(each for each in names if each in reached[name] and name in reached[each])
                )
        got = circles(needs)
        assert {frozenset(each) for each in got} == wanted
        assert len(got) == len(wanted)


def test_the_files_of_an_example_are_written_where_it_says(tmp_path: Path) -> None:
    text = "device_db = {}\n# file: a/b/c.py\nx = '\xe4'\n\n# file: a/b/d.py\n"
    assert split(text) == {"device_db.py": "device_db = {}\n", "a/b/c.py": "x = '\xe4'\n\n", "a/b/d.py": ""}
    assert write(text, tmp_path) == tmp_path / "device_db.py"
    assert (tmp_path / "device_db.py").read_bytes() == b"device_db = {}\n"
    assert (tmp_path / "a/b/c.py").read_bytes() == b"x = '\xc3\xa4'\n\n"
    assert (tmp_path / "a/b/d.py").read_bytes() == b""


def test_a_rule_is_explained_in_lines_of_96_columns() -> None:
    why = " ".join(["x" * 47, "x" * 48, "y"])
    rule = Rule("DDB999", Severity.INFO, "a summary", why, "bad = 1\n", "good = 1\n")
    assert as_text(rule) == (
        f"DDB999 (info): a summary\n\n{'x' * 47} {'x' * 48}\ny\n\nBad:\n\n    bad = 1\n\nGood:\n\n    good = 1\n"
    )
