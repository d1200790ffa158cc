"""For generated databases with one known fault: the fix removes the finding and changes nothing else."""

import ast
import re
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from devicedb.check.config import Settings
from devicedb.check.engine import Subject
from devicedb.check.fixing import FixedFile, fix_file

STATIC = Settings(static=True, artiq_release="9")
CAMERA = "'camera' : { 'type' : 'controller' , 'host' : '::1' , 'port' : 6283"
CORE = (
    "'core' : { 'type' : 'local' , 'module' : 'artiq.coredevice.core' , 'class' : 'Core' , "
    "'arguments' : { 'host' : '10.0.0.2' , 'ref_period' : 1e-9 } }"
)
LOCAL = "'d' : { 'type' : 'local' , 'module' : 'artiq.coredevice.%s' , 'class' : %s , 'arguments' : { %s } }"
AUX = "'x' : { 'type' : 'controller_aux_target' , 'target_name' : 'c_rexec' , 'controller' : %s }"
CAMERA_OR_SLIP = "«'camrea'|'camera'»"
REPLACED = [
    ("DDB401", f"{CAMERA} , «'target'|'target_name'» : 'x' }}"),
    ("DDB701", f"{CAMERA} , «'best_efort'|'best_effort'» : True }}"),
    ("DDB110", "'camera' : { 'type' : 'controller' , 'host' : '::1' , 'port' : «'6283'|6283» }"),
    ("DDB105", "'camera' : { 'type' : «'dumy'|'dummy'» }"),
    ("DDB106", "'camera' : { 'type' : 'controller' , «'hots'|'host'» : '::1' , 'port' : 6283 }"),
    ("DDB201", f"{CAMERA} }} , 'alias' : «'camrea'|'camera'»"),
    ("DDB302", f"{CAMERA} , 'target_name' : 'c' }} , {AUX % CAMERA_OR_SLIP}"),
    ("DDB501", f"{CORE} , {LOCAL % ('ttl', '«`TTLOot`|`TTLOut`»', '`channel` : 1')}".replace("`", "'")),
    ("DDB502", f"{CORE} , {LOCAL % ('i2c', '«`PCA9548`|`I2CSwitch`»', '')}".replace("`", "'")),
]
"""Code, and entries with what is written wrong and what is right."""
REMOVED = [("DDB506", "'dmgr' : 0"), ("DDB504", "'external_clock' : False")]

GAPS = (" ", "  ", "\n  ", "\n    # é «n»\n\t", "  # «n»\n", "")
LAYOUTS = st.builds(Random, st.integers(0, 10**6))
"""One draw for a whole layout: a draw for each gap would take seconds."""


def written(layout: Random, text: str) -> str:
    """Tokens with random gaps, quotes and line ends; each comment has a number of its own."""
    tokens = []
    for token in text.split(" "):
        tokens.append(token.replace("'", layout.choice("'\"")))
        tokens.append(layout.choice(GAPS).replace("«n»", f"note {len(tokens)}."))
    return "".join(tokens).replace("\n", layout.choice(("\n", "\r\n")))


def fixed(text: str) -> FixedFile:
    with tempfile.TemporaryDirectory() as folder:
        return fix_file(Subject(Path(folder, "device_db.py"), "device_db.py"), text.encode(), STATIC)


def codes(report: Any) -> set[str]:
    return {each.code for each in report.each()}


@given(st.sampled_from(REPLACED), LAYOUTS)
@settings(max_examples=40)
def test_only_what_is_wrong_is_written_anew(fault: tuple[str, str], layout: Random) -> None:
    code, entries = fault
    text = written(layout, f"device_db={{ {entries} {layout.choice(('', ','))} }}")
    bad, good = re.sub("«(.*?)[|].*?»", r"\1", text), re.sub("«.*?[|](.*?)»", r"\1", text)
    done = fixed(bad)
    assert code in codes(done.before)
    assert code not in codes(done.after)
    assert done.new.decode() == good
    assert fixed(good).new == done.new


@given(st.sampled_from(REMOVED), st.integers(0, 3), LAYOUTS)
@settings(max_examples=40)
def test_a_removed_item_leaves_all_others_and_their_comments(
    fault: tuple[str, str], place: int, layout: Random
) -> None:
    code, item = fault
    items = ["'host' : 'h'", "'ref_period' : 1e-9", "'target' : 'rv32g'"]
    items.insert(place, f"«{item}»")
    head = CORE.partition("{ 'host'")[0]
    text = f"device_db={{ {head} {{ {' , '.join(items)} {layout.choice(('', ','))} }} }} }}"
    before, inner = written(layout, text).split("«")
    inner, behind = inner.split("»")
    done = fixed(before + inner + behind)
    assert code in codes(done.before)
    assert code not in codes(done.after)
    new = done.new.decode()
    notes = re.findall(r"# [^\r\n]*", before + behind)
    assert re.findall(r"# [^\r\n]*", new) in (
        notes,
        [each for each in notes if each not in _end_of_line(behind)],
    )
    assert new.startswith(before.rstrip().rstrip(",").rstrip())
    values = ast.literal_eval(new.partition("=")[2].strip())["core"]["arguments"]
    assert values == {"host": "h", "ref_period": 1e-9, "target": "rv32g"}
    assert fixed(new).new == done.new


def _end_of_line(text: str) -> list[str]:
    """The comment that ends the line of the removed item: it goes with it if the item has the line for itself."""
    return re.findall(r"# [^\r\n]*", text.splitlines()[0]) if text else []


@given(LAYOUTS)
@settings(max_examples=15)
def test_an_added_item_is_all_that_is_new(layout: Random) -> None:
    aux = (
        "'x' : { 'type' : 'controller_aux_target' , 'controller' : 'camera' , 'target_name' : 'lens_rexec' }"
    )
    old = written(layout, f"device_db={{ {CAMERA} {layout.choice(('', ','))} }} , {aux} }}")
    done = fixed(old)
    assert "DDB305" in codes(done.before)
    assert not codes(done.after)
    new = done.new.decode()
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
    assert new.endswith(old[same:])
    assert ast.literal_eval(new.partition("=")[2].strip())["camera"]["target_name"] == "lens"
    assert fixed(new).new == done.new
