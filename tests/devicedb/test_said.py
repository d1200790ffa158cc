"""What the check says, word for word.

`python -m tests.devicedb.test_said` records it anew, and a diff shows the change. The databases are the bad examples of
the rules, the cases of `cases/`, and entries at the edges of what is accepted.
What Python itself says of a file (DDB0..) differs by its release, and is not recorded.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import CONSTRUCT_RULE, Subject, check_file
from devicedb.rules import RULES
from devicedb.rules.examples import write
from tests.devicedb.test_cases import CASES

RECORDED = Path(__file__).with_name("data") / "said.json"


FIELDS = """
target_name best_effort simple_ssl_config port_proxy environment busy_limit exclusive ping_timer ping_timeout
term_timeout retry_timer command host allow type
""".split()


def controller(**fields: Any) -> dict[str, Any]:
    return {"type": "controller", "host": "::1", "port": 3000, "command": "c -p {port}", **fields}


def dds(pll_n: Any, pll_vco: Any, refclk: Any = 10e6, division: Any = 1, **more: Any) -> dict[str, Any]:
    """Return a core, an AD9910 and what it needs."""

    def local(module: str, kind: str, **arguments: Any) -> dict[str, Any]:
        return {
            "type": "local",
            "module": f"artiq.coredevice.{module}",
            "class": kind,
            "arguments": arguments,
        }

    cpld = {"spi_device": "spi0", "refclk": refclk, "clk_div": division}
    chip = {"cpld_device": "cpld0", "chip_select": 4, "pll_n": pll_n, "pll_vco": pll_vco, **more}
    return {
        "core": local("core", "Core", host="10.0.0.2", ref_period=1e-9, target="rv32g"),
        "spi0": local("spi2", "SPIMaster", channel=1),
        "cpld0": local("urukul", "CPLD", **cpld),
        "dds0": local("ad9910", "AD9910", **chip),
    }


def edges() -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield databases by name: each has one thing at the edges of what is accepted."""
    names = ["", " ", "a b", " a", "a\t", "a\nb", "a\r", "a:b", "a: b", "a.b", "a-b", "ä"]
    yield "names", {name: {"type": "dummy"} for name in names}
    hosts = [
        "lab.",
        "lab..",
        ".",
        "a.b.c.",
        "..a",
        "1.2.3.4",
        "1.2.3.256",
        "1.2.3.4.5",
        "1.2",
        "::1",
        ":::",
        "a:1",
        "a_b",
    ]
    hosts += [
        "[::1]",
        "[::1]:3",
        "a:b:c",
        "http://a",
        "a/b",
        "a b",
        "-a",
        "a-",
        "a" * 63,
        "a" * 64,
        "a." * 126 + "a",
        "a." * 127,
    ]
    yield "hosts", {f"c{n}": controller(host=host, port=3000 + n) for n, host in enumerate(hosts)}
    ports: list[Any] = [
        0,
        1,
        1023,
        1024,
        65535,
        65536,
        -1,
        True,
        None,
        "3",
        " 3 ",
        "x",
        "1" * 19,
        "1" * 20,
        3.0,
    ]
    yield "ports", {f"c{n}": controller(port=port) for n, port in enumerate(ports)}
    odd: list[Any] = [None, True, 0, 1, -1, 2.5, "", "x", [], ["x"], {}, {"a": "b"}, {1: 2}, ("x",)]
    for field in FIELDS:
        yield (
            field,
            {
                f"c{n}": controller(port=3000 + n, **{field: value})
                for n, value in enumerate(odd)
                if field != "host"
            },
        )
        yield f"{field}, one", {"c": controller(**{field: "x"})}
    yield (
        "kinds",
        {
            f"e{n}": {"type": kind}
            for n, kind in enumerate(["local", "controller", "controller_aux_target", "dummy", "lokal", ""])
        },
    )
    behind = {"type": "controller_aux_target", "controller": "c", "target_name": "camera"}
    for entry, kind in (
        (controller(target_name="camera", best_effort=True, simple_ssl_config={}), "c"),
        (behind, "b"),
    ):
        for key in entry:
            slip = {(key[:-1] if each == key else each): value for each, value in entry.items()}
            both = {**entry, key[:-1]: entry[key]}
            for named, changed in (("misspelt", slip), ("twice", both)):
                yield f"{key} of {kind}, {named}", {"c": controller(target_name="camera"), kind: changed}
    for number in (1, 3, 4, 5):
        allow = {f"person{n}": ["no_such_target", "another"][: n % 2 + 1] for n in range(number)}
        yield f"allow {number}", {"c": controller(target_name="camera", allow=allow)}
    for vco, (low, high) in enumerate(
        [(370, 510), (420, 590), (500, 700), (600, 880), (700, 950), (820, 1150)]
    ):
        for frequency in (low, high):
            for besides in (-1, 0, 1):
                refclk = (frequency + besides) * 1e6 / 20
                yield f"vco {vco} at {frequency}{besides:+}", dds(20, vco, refclk)
    for given in (
        (12, 3),
        (11, 3),
        (127, 3),
        (128, 3),
        (20.0, 0),
        (True, 0),
        (40, -1),
        (40, 6),
        (40, "5"),
        ("40", 5),
        (40, 5),
    ):
        yield f"pll {given}", dds(given[0], given[1], 125e6 if given == (40, 5) else 10e6)
    for division in (0, 1, 2, 3, 4, -1, True, 1.0):
        yield f"division {division!r}", dds(20, 3, 40e6, division)
    inputs: list[Any] = [60e6, 60e6 + 1, 1e9, 1e9 + 1, "x", True]
    for source in inputs:
        yield f"refclk {source}", dds(16, 5, source)
        yield f"refclk {source} without PLL", dds(16, 5, source, pll_en=0)


def sources() -> Iterator[tuple[str, str]]:
    """Yield texts of device databases by what they are named in the record."""
    for rule in RULES.values():
        if rule.code != CONSTRUCT_RULE and not rule.code.startswith("DDB0"):
            yield rule.code, rule.bad
    for case in sorted(CASES.glob("*.ddb")):
        yield case.stem, case.read_text(encoding="utf-8")
    for name, raw in edges():
        yield (
            f"edges: {name}",
            "device_db = {\n" + "".join(f"    {k!r}: {v!r},\n" for k, v in raw.items()) + "}\n",
        )


def said(text: str, folder: Path) -> list[str]:
    """Return a line for each finding: code, severity, place, entries, message, hint, and what mends it."""
    path = write(text, folder)
    experiments = (str(folder / "experiments"),) if (folder / "experiments").exists() else ()
    settings = Settings(experiments=experiments, time_limit=60, artiq_release="9")
    lines = []
    for each in check_file(Subject(path, "device_db.py"), settings).findings:
        if each.code.startswith("DDB0"):
            continue
        place = f"{each.line}:{each.column}-{each.end_line}:{each.end_column}"
        fix = (
            ""
            if each.fix is None
            else f"{each.fix.title} {each.fix.refusal}{[edit.text for edit in each.fix.edits]}"
        )
        parts = (each.code, each.severity.value, place, ",".join(each.entries), each.message, each.hint, fix)
        lines.append(" | ".join(parts).replace(str(folder), "FOLDER"))
    return lines


TEXTS = dict(sources())


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_said_is_as_recorded(name: str, tmp_path: Path) -> None:
    assert said(TEXTS[name], tmp_path) == json.loads(RECORDED.read_text(encoding="utf-8"))[name]


def test_nothing_is_recorded_of_what_is_not_there() -> None:
    assert TEXTS.keys() == json.loads(RECORDED.read_text(encoding="utf-8")).keys()


def record() -> None:
    """Record what is said now."""
    found = {}
    for name, text in TEXTS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = said(text, Path(folder))
    RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
