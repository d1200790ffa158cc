"""What the check says, word for word.

`python -m tests.devicedb.test_said` records it anew, and a diff shows the change. The databases are the bad examples of
the rules, the cases of `cases/`, and entries at the edges of what is accepted.
What Python itself says of a file (DDB0..) differs by its release, and is not recorded.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import CONSTRUCT_RULE, Subject, check_file
from devicedb.drivers.history import REPLACED
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


def local(module: str, kind: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "local", "module": f"artiq.coredevice.{module}", "class": kind, "arguments": arguments}


def dds(pll_n: Any, pll_vco: Any, refclk: Any = 10e6, division: Any = 1, **more: Any) -> dict[str, Any]:
    """Return a core, an AD9910 and what it needs."""
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


AUX: dict[str, Any] = {"type": "controller_aux_target", "controller": "camera"}
RACK: dict[str, Any] = {
    "core": local("core", "Core", host="10.0.0.2", ref_period=1e-9, target="rv32g"),
    "spi0": local("spi2", "SPIMaster", channel=1),
    "cpld0": local("urukul", "CPLD", spi_device="spi0", clk_sel=2),
    "dds0": local("ad9910", "AD9910", cpld_device="cpld0", chip_select=4, pll_n=32),
}


def several() -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield databases by name: each has many entries for one group of rules."""
    servo = {"channel": 2, "pgia_device": "spi0"}
    lists = {"cpld_devices": ["cpld0"], "dds_devices": ["dds0"]}
    servos: list[dict[Any, Any]] = [
        {"cpld0_device": "cpld0", "dds0_device": "dds0"},
        {"cpld0_device": "cpld0", "cpld1_device": "cpld0", "dds_devices": ["dds0", "dds0"]},
        {**lists, "cpld0_device": "cpld0"},
        {"cpld0_device": 3, "dds_devices": ["dds0"]},
        {"cpld_device": "cpld0", "dds_devices": ["dds0"]},
        {"cpld_device": 3, "dds_devices": ["dds0"]},
        {"d_devices": "dds0", "cpld_device": ["cpld0"]},
        {**lists, 3: 4, "gain": 1, "dmgr": 2},
    ]
    outputs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"cpld0_device": "cpld0", "channel": 1}, {}),
        ({"chanel": "1"}, {}),
        ({"chanel": 1}, {}),
        ({"channel": 1, "gate_latency_mu": 2, "a": 1, "b": 2}, {}),
        ({}, {"arguments": [1]}),
        ({}, {"arguments": {1: 2, "c": 3}}),
    ]
    yield (
        "arguments",
        RACK
        | {
            f"s{n}": {**local("suservo", "SUServo"), "arguments": {**servo, **given}}
            for n, given in enumerate(servos)
        }
        | {f"t{n}": {**local("ttl", "TTLOut", **given), **more} for n, (given, more) in enumerate(outputs)}
        | {
            "core2": local("core", "Core", host="10.0.0.3", ref_period=1e-9, external_clock=False),
            "dds1": local("ad9910", "AD9910", cpld_device="cpld0", chip_select=5, pll_n=32, pll_vn=1),
            "cpld1": local("urukul", "CPLD", spi_devce=["spi0"]),
            "dds2": local("ad9910", "AD9910", cpld_devic=["cpld0"], chip_select=6, pll_n=32),
        },
    )
    targets: dict[str, list[dict[str, Any]]] = {
        "nothing given": [{"target_name": "camera_rexec"}],
        "no stem": [{"target_name": "rexec"}, {"target_name": "_rexec"}],
        "a stem and another": [{"target_name": "lens_rexec"}, {"target_name": "rexec_lens"}],
    }
    misspelt = {"target_nam": "x"}
    given: list[dict[Any, Any]] = [{}, {"target_name": ""}, {"target_name": None}, misspelt, {3: 4}]
    given.append({"target_name": "", **misspelt})
    for name, behind in targets.items():
        for n, more in enumerate(given):
            raw = {"camera": {**controller(), **more}}
            yield f"{name}, controller {n}", raw | {f"a{m}": AUX | each for m, each in enumerate(behind)}
    yield (
        "controllers of aux targets",
        {
            "camera": controller(target_name="camera"),
            "camara": {"type": "dummy"},
            "cam": "nobody",
            "loop": "loop",
            "odd": 3,
            "odder": {"type": "odd"},
            **{
                f"a{n}": {**AUX, "target_name": "lens", "controller": name}
                for n, name in enumerate(["camrea", "camera", "camara", "cam", "loop", "odd", "odder", "", 3])
            },
        },
    )
    for name, needs in {
        "three": {"a": "b", "b": "c", "c": "a", "d": "a"},
        "two and two": {"e": "a", "a": "b", "b": "a", "c": "d", "d": "c"},
        "itself": {"a": "a", "b": "b", "c": "a"},
        "a knot": {"a": "b c", "b": "a", "c": "a"},
        "a chord": {"a": "b", "b": "c d", "c": "d", "d": "a c"},
    }.items():
        yield (
            f"circle of {name}",
            RACK
            | {
                each: local(
                    "suservo",
                    "SUServo",
                    channel=2,
                    pgia_device="spi0",
                    cpld_devices=[],
                    dds_devices=of.split(),
                )
                for each, of in needs.items()
            },
        )
    kinds = {"AD9910": "ad9910", "AD9912": "ad9912", "SharedDDS": "suservo"}
    clocks: dict[str, Any] = dict(RACK)
    for refclk, division in [
        (500e6, 0),
        (500e6, 1),
        (500e6, 2),
        (500e6, 3),
        (80e6, 0),
        (400e6, 3),
        (99e6, 1),
    ]:
        cpld = f"cpld_{refclk / 1e6:g}_{division}"
        clocks[cpld] = local("urukul", "CPLD", spi_device="spi0", refclk=refclk, clk_div=division)
        for kind, module in kinds.items():
            more = {} if kind == "SharedDDS" else {"chip_select": 4}
            clocks[f"{kind}_{cpld}"] = local(module, kind, cpld_device=cpld, **more)
    own = local("ad9910", "AD9910", cpld_device="cpld0", chip_select=4)
    clocks["own"] = own | {"module": "lab.ad9910"}
    clocks["another"] = own | {"class": "AD9911"}
    yield "clocks", clocks
    commands = [
        "c -p {port} {nothing_like_it}",
        "c -p {prot} {{x}}",
        "c 3000",
        "c 13000",
        "c -p {port} --to ssh && x",
        "c -p {port} ssh && x",
        "c -p 3000 --port=3001 -p 3002",
        "",
        "c {port",
        "c 'x",
    ]
    raw = {f"c{n}": controller(command=each) for n, each in enumerate(commands)}
    raw["none"] = {"type": "controller", "host": "::1", "command": "c x"}
    raw["environment"] = controller(environment={"": "1", "a=b": "2", "a\0b": "3", "A": 4, "B": None, 5: "6"})
    yield "commands", {key: each | {"host": f"10.0.0.{n}"} for n, (key, each) in enumerate(raw.items())}
    yield (
        "ports of controllers",
        {
            "a": {"type": "controller", "host": "::1", "port": 3000},
            "b": controller(host=""),
            "c": controller(host="localhost"),
            "d": controller(host="10.0.0.1"),
            "e": controller(host="10.0.0.2"),
            "f": {**controller(port_proxy=3000), "port": None},
            "g": controller(port=3001, port_proxy=3002),
            "h": controller(port=3002),
            "i": controller(port=3003, port_proxy=3003),
            "j": controller(port="0000003002"),
            "k": controller(port="000003002"),
            "l": controller(port=" 3002 "),
            "m": controller(port=True),
        },
    )
    tls = {"client_cert": "c", "client_key": "k", "server_cert": "s"}
    away = {"host": "10.0.0.1", "target_name": "camera"}
    yield (
        "remote execution",
        {
            "quiet": {**controller(port=3009, target_name="quiet"), "command": None},
            "near": controller(target_name="near"),
            "tls": controller(**away, simple_ssl_config=tls),
            "no_tls": controller(**{**away, "port": 3001}, simple_ssl_config=None),
            "open": controller(**{**away, "port": 3002}),
            "broken": controller(
                host="10.0.0.2", port=3003, simple_ssl_config={"client_cert": "", "client_key": 3}
            ),
            "patient": controller(port=3004, target_name="t", ping_timer=60, ping_timeout=60),
            "impatient": controller(port=3005, target_name="t", ping_timer=60, ping_timeout=59),
            **{
                f"{each}_rexec": {**AUX, "controller": each, "target_name": "rexec"}
                for each in ("quiet", "near", "tls", "no_tls", "open", "broken", "patient", "impatient")
            },
        },
    )
    yield (
        "modules",
        {
            f"e{n}": {"type": "local", "module": module, "class": kind}
            for n, (module, kind) in enumerate(
                [
                    (" lab.laser", "Laser"),
                    ("lab. laser", "Laser"),
                    ("laser.py", "Laser"),
                    ("lab..laser", "Laser"),
                    ("..", "Laser"),
                    (" ", "Laser"),
                    ("lab", "a.Laser"),
                    ("lab", "Laser()"),
                    ("lab", "La ser"),
                    ("lab", " "),
                    ("lab\\laser", "Laser"),
                ]
            )
        },
    )
    odd: dict[Any, Any] = {
        "a": (1,),
        "b": (1, 2),
        "c": [1],
        "d": 3,
        "e": None,
        "f": {},
        2.5: 1,
        True: 2,
        (): 3,
    }
    yield "values that are no entries", {**odd, "a b": {}, "a_b": {}, 10**9 - 1: {}, 10**9: {}}
    yield (
        "misspelt fields",
        {
            "a": {"type": "controller", "hots": "::1", "prt": 1, 3: 4},
            "b": {"type": "local", "modul": "lab", "clas": "Laser", 3: 4},
            "c": {"type": "controller_aux_target", "controler": "a", "target": "x", 3: 4},
            "d": {"type": "controller_aux_target", "controller": "a", "target_nam": "x", 3: 4},
            "e": {"typ": "dummy", 3: 4},
        },
    )
    hosts = [
        "[a",
        "a]",
        "x[y]",
        "http://[a",
        "1.2.3.255",
        "255.1.1.1",
        "a::b",
        "http://a b",
        " a b",
        "fe80::1%eth0",
        ":a",
        "//",
        "@",
    ]
    yield "more hosts", {f"c{n}": controller(host=host, port=3000 + n) for n, host in enumerate(hosts)}


ONE_DICT_TWICE = f"""A = {controller()}
device_db = {{"a": A, "b": A, "c": {controller()}}}
"""


def refused() -> dict[str, Any]:
    """Return devices with values of the wrong type, outside a range, or of the wrong kind."""
    servo = {"channel": 2, "pgia_device": "spi0", "cpld_devices": ["cpld0"], "dds_devices": ["dds0"]}
    given: list[tuple[str, str, dict[Any, Any]]] = [
        ("core", "Core", {"host": "10.0.0.3", "ref_period": None, "target": 3}),
        ("core", "Core", {"host": "10.0.0.3", "ref_period": 1e-9, "target": "rv32"}),
        ("core", "Core", {"host": "10.0.0.3", "ref_period": 1e-9, "target": "zzz"}),
        ("urukul", "CPLD", {"spi_device": "spi0", "sync_div": "2", "clk_div": 4, "clk_sel": None}),
        ("urukul", "CPLD", {"spi_device": "spi0", "clk_div": -1, "proto_rev": 7, "dds_reset_device": 0}),
        ("urukul", "CPLD", {"spi_device": ("spi0",), "io_update_device": ["spi0", "spi0"], "clk_div": 3}),
        ("urukul", "CPLD", {"spi_device": 3, "sync_device": 3, "clk_div": True}),
        ("edge_counter", "EdgeCounter", {"channel": 7, "gateware_width": 0}),
        ("cxp_grabber", "CXPGrabber", {"channel": 8, "count_width": 63}),
        ("kasli_i2c", "KasliEEPROM", {"port": "EEM1_", "sw0_device": "ttl0"}),
        ("mirny", "Mirny", {"spi_device": "spi0", "clk_sel": 4, "refclk": "1"}),
        ("mirny", "Mirny", {"spi_device": "spi0", "clk_sel": "3", "refclk": "1234567890"}),
        ("mirny", "Mirny", {"spi_device": "spi0", "clk_sel": "extern", "refclk": " -1 "}),
        ("suservo", "SUServo", {**servo, "dds_devices": ["dds0", 3, "none", "spi0", "cpld0"]}),
        ("suservo", "SUServo", {**servo, "dds_devices": "dds0", "cpld_devices": {}}),
        ("suservo", "SUServo", {**servo, "dds_devices": [], "cpld_devices": ("cpld0",)}),
        ("suservo", "Servo", {**servo, "dds_devices": []}),
        ("suservo", "Channel", {"channel": "x", "servo_device": ["cpld0"]}),
        ("suservo", "Channel", {"channel": 1, "servo_device": "dummy"}),
        ("suservo", "Channel", {"channel": 1, "servo_device": "own"}),
        ("suservo", "Channel", {"channel": 1, "servo_device": "camera"}),
        ("ttl", "TTLOut", {"channel": 1, "core_device": "no_core"}),
        ("ttl", "TTLOut", {"channel": "1"}),
        ("ttl", "TTLOut", {"channel": 1.5, "core_device": None}),
        ("ttl", "TTLOut", {"core_device": "", 3: 4}),
        ("spi2", "SPIMaster", {"channel": 1, "div": [1], "length": True}),
        ("ad9910", "AD9910", {"cpld_device": "spi0", "chip_select": 8, "pll_cp": 8, "sw_device": 3}),
        ("ad9910", "AD9910", {"cpld_device": 0, "chip_select": 2, "pll_cp": -1, "sw_device": False}),
        ("zotino", "Zotino", {"spi_device": "spi0", "ldac_device": "", "clr_device": ["a", "b"]}),
    ]
    own = {"type": "local", "module": "elsewhere", "class": "Laser", "arguments": {}}
    more = {"dummy": {"type": "dummy"}, "own": own, "no_core": RACK["spi0"], "camera": controller()}
    return {
        **RACK,
        **more,
        **{f"d{n}": {**local(module, kind), "arguments": of} for n, (module, kind, of) in enumerate(given)},
    }


NO_CORE = f"""device_db = {
    {
        "spi0": local("spi2", "SPIMaster", channel=1),
        "spi1": local("spi2", "SPIMaster", channel=2, core_device="spi0"),
        "eeprom": local("kasli_i2c", "KasliEEPROM", port="EEM0", sw0_device="spi0"),
        "odd": {**local("ttl", "TTLOut"), "arguments": {"channel": 1, 3: 4}},
        "list": {**local("ttl", "TTLOut"), "arguments": [1]},
        "none": {key: value for key, value in local("ttl", "TTLOut").items() if key != "arguments"},
    }
}
"""
OBJECTS = f"""RACK = {RACK}
device_db = {{**RACK,
    "a": {local("ttl", "TTLOut", channel=1)}, "b": {local("mirny", "Mirny", spi_device="spi0")},
    "c": {local("suservo", "SUServo", channel=1, pgia_device="spi0")},
}}
device_db["a"]["arguments"]["core_device"] = object()
device_db["b"]["arguments"].update(clk_sel=object(), refclk=None)
device_db["c"]["arguments"].update(cpld_devices=[object()], dds_devices=object())
"""


def persons() -> Iterator[tuple[str, str]]:
    """Yield databases whose commands name a file of certificates, with that file."""
    text = RULES["DDB417"].good
    for name, allow in {
        "misspelt": '{"bbo": ["call"], "zoe": ["read"], "*": ["read"], 3: ["read"]}',
        "no dict": "[3]",
    }.items():
        yield f"persons, {name}", text.replace('{"bob": ["call"]}', allow)
    yield "persons, elsewhere", text.replace("clients.pem", "others.pem", 1).replace("bob", "bbo")
    yield "persons, a placeholder", text.replace("clients.pem", "{place}clients.pem", 1).replace("bob", "bbo")
    yield "persons, no --ssl", text.replace("--ssl", "--tls").replace("bob", "bbo")
    raw = {}
    for n in range(1, 6):
        everyone = {f"person{m}": ["call"] for m in range(n)} | {"*": ["read"]}
        raw[f"c{n}"] = controller(host="10.0.0.1", port=3000 + n, allow=everyone)
    raw["*"] = controller(host="10.0.0.1", port=3010, allow={"*": ["read"]})
    raw["tls"] = controller(host="10.0.0.1", port=3011, allow={"a": ["read"]}, simple_ssl_config={})
    raw["near"] = controller(port=3012, allow={"a": ["read"]})
    words: list[Any] = ["read", ["red"], ["read", 3, "cal"], 3, None, "x", ("read",)]
    raw |= {
        f"w{n}": controller(port=3020 + n, allow={"a": each, "": ["read"], " ": 1, 3: ["read"]})
        for n, each in enumerate(words)
    }
    raw["aux"] = {**AUX, "controller": "near", "target_name": "x", "allow": {}, "exclusive": True}
    raw["dummy"] = {"type": "dummy", "exclusive": True}
    yield "persons and words", f"device_db = {raw}\n"


METHODS = """device_db = {
    "camera": {"type": "controller", "host": "::1", "port": 3000, "target_name": "camera",
               "command": "python controller.py -p {port}"},
    "cam": "camera",
    "silent": {"type": "controller", "host": "::1", "port": 3001},
    "far": {"type": "controller", "host": "::1", "port": 3002, "command": "elsewhere -p {port}"},
    "local": {"type": "local", "module": "lab", "class": "Laser", "command": "python controller.py -p {port}"},
}
# file: controller.py
class Camera:
    def snap(self):
        return 1

simple_server_loop({"camera": Camera()}, "::1", 3000)
# file: experiments/snap.py
class Snap(EnvExperiment):
    def build(self):
        self.setattr_device("camera")
        self.setattr_device("cam")
        self.setattr_device("silent")
        self.setattr_device("far")
        self.setattr_device("local")
        self.setattr_device("scheduler")
        self.setattr_device("nobody")

    def run(self):
        self.nobody.snap()
        self.silent.snpa()
        self.far.snpa()
        self.local.snpa()
        self.camera.snap()
        self.camera.close_rpc()
        self.cam.snpa()
        self.camera.zoom()
"""
OWN_DRIVERS = """device_db = {
    "core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",
             "arguments": {"host": "10.0.0.2", "ref_period": 1e-9, "target": "rv32g"}},
    "spi0": {"type": "local", "module": "lab", "class": "Laser", "arguments": {"spi": "core"}},
    "spelt": {"type": "local", "module": "lab", "class": "Lasre", "arguments": {"core": "corr"}},
    "near": {"type": "local", "module": "lab", "class": "Lasreer", "arguments": {}},
    "far": {"type": "local", "module": "lab", "class": "Camera", "arguments": {}},
    "artiq": {"type": "local", "module": "artiq.coredevice.nowhere", "class": "Laser", "arguments": {}},
    "chip": {"type": "local", "module": "artiq.coredevice.ttl", "class": "Laser", "arguments": {}},
    "module": {"type": "local", "module": "artiq.coredevice.tll", "class": "TTLOut", "arguments": {}},
    "used": {"type": "local", "module": "lab", "class": "Laser",
             "arguments": {3: "spi1", "name": "nobody", "other_device": "nobody",
                           "spi": ["spi0", "spi1", "x", "corr"]}},
    "unknown": {"type": "local", "module": "elsewhere", "class": "Laser",
                "arguments": {3: "spi1", "other_device": "nobody", "its_devices": ["nobody", "spi1"],
                              "core_device": "nobody"}},
    "seed": {"type": "local", "module": "artiq.coredevice.ad9910", "class": "AD9910",
             "arguments": {"cpld_device": "nobody", "chip_select": 4, "sync_delay_seed": "corr:2",
                           "io_update_delay": 3}},
}
# file: lab.py
class Laser:
    def __init__(self, dmgr, spi, name="", other_device=None):
        self.spi = [dmgr.get(each) for each in spi]
"""
"""A laboratory's own drivers, beside the file and elsewhere."""


def channels() -> dict[str, Any]:
    """Return devices on RTIO channels, some of which are one."""
    found: dict[str, Any] = {}
    for n, (module, kind, channel) in enumerate(
        [
            ("spi2", "SPIMaster", "0"),
            ("ad9914", "AD9914", 1),
            ("ttl", "TTLOut", 1),
            ("ttl", "TTLOut", 1),
            ("ttl", "TTLInOut", 2),
            ("edge_counter", "EdgeCounter", 2),
            ("edge_counter", "EdgeCounter", 3),
            ("ttl", "TTLOut", 3),
            ("ttl", "TTLInOut", 4),
            ("ttl", "TTLOut", 4),
            ("ttl", "TTLOut", 5),
            ("spi2", "SPIMaster", 5),
        ]
    ):
        found[f"d{n}"] = local(module, kind, channel=channel)
    on = {
        "a": "kasli",
        "b": "core",
        "c": "core2",
        "d": "nobody",
        "e": ["core"],
        "f": "nobody",
        "g": "core",
        "h": "core",
    }
    for n, (name, core) in enumerate(on.items()):
        driver = ("ttl", "TTLOut") if n % 2 else ("spi2", "SPIMaster")
        found[name] = local(*driver, channel=6, core_device=core)
    return {**RACK, "kasli": "core", "core2": RACK["core"], **found}


def drivers_that_went() -> dict[str, Any]:
    """Return drivers of older releases, with and without the arguments of what replaced them."""
    found: dict[str, Any] = {}
    for old in REPLACED:
        found[old] = local(*old.split("."))
    found["spi0"] = local("spi", "SPIMaster", channel=1)
    found["spi1"] = local("spi", "SPIMaster", channel=1, div=2, length=3, core_device="core")
    found["more"] = local("spi", "SPIMaster", channel=1, more=2)
    found["alike"] = {**local("dds", "AD9914", sysclk=1e9, bus_channel=1, channel=2), "class": "DDSBus"}
    found["i2c"] = local("i2c", "PCA954X", busno=0)
    found["ad9914"] = local("dds", "AD9914", sysclk=1e9, bus_channel=1, channel=2)
    return {"core": RACK["core"], **found}


def sources() -> Iterator[tuple[str, str]]:
    """Yield texts of device databases by what they are named in the record."""
    for rule in RULES.values():
        if rule.code != CONSTRUCT_RULE and not rule.code.startswith("DDB0"):
            yield rule.code, rule.bad
    for case in sorted(CASES.glob("*.ddb")):
        yield case.stem, case.read_text(encoding="utf-8")
    yield "edges: one dict twice", ONE_DICT_TWICE
    yield "edges: own drivers", OWN_DRIVERS
    yield "edges: methods", METHODS
    yield "edges: no core", NO_CORE
    yield "edges: objects", OBJECTS
    yield "edges: refused", f"device_db = {refused()}\n"
    for name, text in persons():
        yield f"edges: {name}", text
    for release in ("7", "8", "9"):
        yield f"edges of ARTIQ {release}: went", f"device_db = {drivers_that_went()}\n"
        more = {"u": local("urukul", "CPLD", spi_device="spi0", proto_rev=9)}
        yield f"edges of ARTIQ {release}: argument", f"device_db = {RACK | more}\n"
    yield "edges: channels", f"device_db = {channels()}\n"
    for name, raw in [*edges(), *several()]:
        yield (
            f"edges: {name}",
            "device_db = {\n" + "".join(f"    {k!r}: {v!r},\n" for k, v in raw.items()) + "}\n",
        )


def said(text: str, folder: Path, release: str) -> list[str]:
    """Return a line for each finding: code, severity, place, entries, message, hint, and what mends it."""
    path = write(text, folder)
    experiments = (str(folder / "experiments"),) if (folder / "experiments").exists() else ()
    settings = Settings(experiments=experiments, time_limit=60, artiq_release=release)
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
        lines.append(" | ".join(parts).replace(f"{folder}{os.sep}", "FOLDER/").replace(str(folder), "FOLDER"))
    return lines


TEXTS = dict(sources())


def release_of(name: str) -> str:
    """Return the release of ARTIQ for which a database is checked."""
    return name.partition(" of ARTIQ ")[2][:1] or "9"


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_said_is_as_recorded(name: str, tmp_path: Path) -> None:
    assert (
        said(TEXTS[name], tmp_path, release_of(name))
        == json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    )


def test_nothing_is_recorded_of_what_is_not_there() -> None:
    assert TEXTS.keys() == json.loads(RECORDED.read_text(encoding="utf-8")).keys()


def record() -> None:
    """Record what is said now."""
    found = {}
    for name, text in TEXTS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = said(text, Path(folder), release_of(name))
    RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
