"""Experiments that ARTIQ and this project run alike: processors, scans, choice of the class, datasets, life cycle."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Case:
    """One experiment and how it is started.

    Attributes:
        name: Its name.
        source: Text of the file, which imports from `artiq.experiment`.
        words: Arguments of the command line, in PYON.
        class_name: What is given to `-c`.
        differs: Words of the page "What differs from ARTIQ" that say how ours differs; empty: it must not.
        is_whole: Whether the forms in the result file are the point, so that our run must write one.

    """

    name: str
    source: str
    words: tuple[str, ...] = ()
    class_name: str | None = None
    differs: str = ""
    is_whole: bool = False


_ARGUMENT: Final = '''\
from artiq.experiment import *
import numpy as np


def shown(value):
    if isinstance(value, (list, tuple)):
        return f"{{type(value).__name__}}({{', '.join(map(shown, value))}})"
    if isinstance(value, dict):
        return ", ".join(f"{{key}}: {{shown(each)}}" for key, each in value.items())
    return f"{{type(value).__name__}} {{value}}"


class Measure(EnvExperiment):
    """A measurement"""

    def build(self):
        processor = {processor}
        self.setattr_argument("x", processor)
        self.described = shown(processor.describe()) if processor is not None else ""

    def run(self):
        x = self.x
        if hasattr(x, "describe"):
            self.set_dataset("scan", shown(x.describe()))
            self.set_dataset("length", len(x))
            self.set_dataset("twice", list(x) == list(x))
            x = list(x)
        self.set_dataset("x", shown(x))
        self.set_dataset("described", self.described)
        self.set_dataset("invariant", "x" in getattr(self, "kernel_invariants", ()))
'''


def _arguments() -> list[Case]:
    """Return a case for each processor with each way to give its argument; "": the default."""
    scan = '{"ty": "RangeScan", "start": 0, "stop": 1, "npoints": 3, "randomize": false, "seed": null}'
    rows: list[tuple[str, tuple[str, ...]]] = [
        ("NumberValue(5)", ("", "2", "2.5", '"3.5"', "true", "null", "[1]", '"no number"', "1e3", "NaN", "Infinity")),
        ("NumberValue(5, precision=0, step=1, scale=1)", ("", "2", "2.0", "2.5", '"7"', '"7.5"', "-3")),
        ("NumberValue(2.5, precision=0, step=1, scale=1)", ("",)),
        ("NumberValue(2.5, precision=0, step=1, scale=1, type='int')", ("", "3.7")),
        ("NumberValue(2, type='float', precision=0, step=1, scale=1)", ("", "3")),
        ("NumberValue(2, type='int')", ("",)),
        ("NumberValue(2, type='real')", ("",)),
        ("NumberValue(50, min=1, max=10)", ("", "3", "0", "11")),
        ("NumberValue(2*MHz, unit='MHz')", ("", "3e6")),
        ("NumberValue(1.0, unit='furlong')", ("",)),
        ("NumberValue(1.0, unit='furlong', scale=201.0, step=1.0)", ("", "402")),
        ("NumberValue(np.array(3.5))", ("",)),
        ("NumberValue(np.float32(1.5), precision=3)", ("",)),
        ("NumberValue(np.int64(4), precision=0, step=1, scale=1)", ("",)),
        ("NumberValue('4.5')", ("",)),
        ("NumberValue(True)", ("",)),
        ("NumberValue(None)", ("",)),
        ("NumberValue()", ("", "4")),
        ("NumberValue(1 + 2j)", ("",)),
        ("NumberValue(5, 'ms', step=0.001, min=0, max=1, precision=3)", ("",)),
        ("BooleanValue(True)", ("", "false", "0", "1", '"true"', "null")),
        ("BooleanValue(1)", ("",)),
        ("BooleanValue(np.bool_(True))", ("",)),
        ("BooleanValue()", ("", "true")),
        ("EnumerationValue(['a', 'b'], 'a')", ("", '"b"', '"c"', "1", "null")),
        ("EnumerationValue(['a', 'b'])", ("", '"b"')),
        ("EnumerationValue(['a', 'b'], 'c')", ("",)),
        ("EnumerationValue([1, 2, 3], 2)", ("", "3", '"3"', "3.0", "4")),
        ("EnumerationValue((1.5, None, True), None)", ("", "1.5", "true")),
        ("EnumerationValue(['a', 'b'], 'a', quickstyle=True)", ("",)),
        ("StringValue('text')", ("", '"other"', "5", "null", '""')),
        ("StringValue()", ("", '"it"')),
        ("StringValue(5)", ("",)),
        ("PYONValue({'a': [1, 2.5, None]})", ("", '"[1, 2]"', '"{\\"b\\": true}"', '"no pyon"')),
        ("PYONValue(np.arange(3))", ("",)),
        ("PYONValue()", ("", '"5"')),
        ("PYONValue('a string')", ("", '"\\"text\\""')),
        ("None", ("", '"5"')),
        ("Scannable(default=RangeScan(0, 1, 5))", ("", scan, "5", '{"ty": "NoSuchScan"}', '{"ty": "RangeScan"}')),
        ("Scannable(default=[NoScan(3), RangeScan(1*ms, 3*ms, 3)], unit='ms')", ("",)),
        ("Scannable(default=RangeScan(0, 10, 11, randomize=True, seed=7))", ("",)),
        ("Scannable(default=CenterScan(5, 2, 0.5))", ("", '{"ty": "CenterScan", "center": 0, "span": 1, "step": 0.3}')),
        ("Scannable(default=CenterScan(0, 10, 1, randomize=True, seed=3))", ("",)),
        ("Scannable(default=ExplicitScan([3, 1, 2]))", ("", '{"ty": "ExplicitScan", "sequence": []}')),
        ("Scannable(default=NoScan(4, repetitions=3))", ("", '{"ty": "NoScan", "value": 7}')),
        ("Scannable(default=RangeScan(0, 1, 1))", ("", '{"ty": "RangeScan", "start": 0, "stop": 1, "npoints": 0}')),
        ("Scannable(default=RangeScan(np.float64(0), np.int64(4), 3))", ("",)),
        ("Scannable(default=NoScan(1*MHz), unit='MHz', global_min=0, global_max=1*GHz, global_step=1*kHz)", ("",)),
        ("Scannable(unit='furlong')", ("",)),
        ("Scannable()", ("",)),
    ]  # fmt: skip
    cases = []
    for processor, ways in rows:
        for way in ways:
            name = f"{processor} given {way}" if way else processor
            words = (f"x={way}",) if way else ()
            differs = "asks for an argument without a processor" if processor == "None" and way else ""
            cases.append(Case(name, _ARGUMENT.format(processor=processor), words, differs=differs))
    simple = _ARGUMENT.format(processor="NumberValue(5)")
    return [
        *cases,
        Case("an argument that it does not have", simple, ("y=1",)),
    ]


_HEAD: Final = "from artiq.experiment import *\nimport numpy as np\n\n"


def _class(body: str, name: str = "Measure", base: str = "EnvExperiment") -> str:
    lines = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").splitlines())
    return f"class {name}({base}):\n{lines}\n\n"


_NAMED: Final = (
    'def run(self):\n    self.set_dataset("ran", type(self).__name__)\n    print(type(self).__name__)\n'
)


def _classes() -> list[Case]:
    """Return cases of which class of a file runs."""
    one, two = _class(_NAMED, "One"), _class(_NAMED, "Two")
    nested = "class Outer:\n    class Inner(EnvExperiment):\n" + "".join(
        f"        {line}\n" for line in _NAMED.splitlines()
    )
    factory = (
        f"def made(base):\n    class Hidden(base):\n        pass\n    return Hidden\n\n{one}Two = made(One)\n"
    )
    return [
        Case("one class", _HEAD + one),
        Case("two classes", _HEAD + one + two),
        Case("two classes, the second named", _HEAD + one + two, class_name="Two"),
        Case("a class that is not there", _HEAD + one, class_name="Tow"),
        Case("a private class beside", _HEAD + one.replace("One", "_Base") + _class("pass", "Own", "_Base")),
        Case("a private class named", _HEAD + one.replace("One", "_One"), class_name="_One"),
        Case("only a private class", _HEAD + one.replace("One", "_One")),
        Case("no class", _HEAD),
        Case("a nested class named", _HEAD + nested, class_name="Outer.Inner"),
        Case("only a nested class", _HEAD + nested),
        Case("a class of a factory, named", _HEAD + factory, class_name="Two"),
        Case("an alias of a class, named", _HEAD + one + "Other = One\n", class_name="Other"),
        Case("an alias of a class", _HEAD + one + "Other = One\n"),
        Case("a name that is no class", _HEAD + one + "number = 5\n", class_name="number"),
        Case("a class that is no experiment", _HEAD + one + "class Plain:\n    pass\n", class_name="Plain"),
        Case("a class without its environment", _HEAD + _class(_NAMED, "Bare", "HasEnvironment"), class_name="Bare"),
        Case("Experiment with HasEnvironment", _HEAD + _class(_NAMED, "Both", "Experiment, HasEnvironment")),
        Case("Experiment with HasEnvironment, turned", _HEAD + _class(_NAMED, "Both", "HasEnvironment, Experiment")),
        Case("Experiment alone", _HEAD + "class Bare(Experiment):\n    def __init__(self, managers):\n        pass\n"
             "    def prepare(self):\n        pass\n    def run(self):\n        print('ran')\n"
             "    def analyze(self):\n        pass\n"),
        Case("a base and what derives from it", _HEAD + one + _class("pass", "Two", "One")),
        Case("a class of another name than its own", _HEAD + one + "One.__name__ = 'Other'\n"),
        Case("a file that raises", _HEAD + one + "raise ValueError('at import')\n"),
        Case("a file that exits", _HEAD + one + "raise SystemExit(3)\n"),
        Case("what a file says at import",
             _HEAD + "import os\nprint(__name__)\nprint(os.path.basename(__file__))\n" + one),
    ]  # fmt: skip


def _run(name: str, body: str, words: tuple[str, ...] = (), differs: str = "") -> Case:
    return Case(name, _HEAD + _class(body), words, differs=differs)


def _lines(*lines: str) -> str:
    return "def run(self):\n" + "".join(f"    {line}\n" for line in lines)


def _datasets() -> list[Case]:
    """Return cases of what is in the result file."""
    values = {
        "numbers": "1, -2.5, 3+4j, True, np.float32(1.5), np.int8(-3), np.bool_(True), np.uint64(2**63)",
        "arrays": "np.arange(3), np.zeros((2, 0)), np.ones((2, 3), np.float32), np.array([True, False]), np.array(5.0)",
        "lists": "[1, 2], [1.0, 2], [], [[1, 2], [3, 4]], (1, 2), [True, False], [np.int32(1), np.int32(2)], range(3)",
        "strings": "'text', 'µ', '', b'bytes', ['a', 'b']",
    }  # fmt: skip
    cases = [
        _run(f"datasets: {kind}", _lines(f"for number, each in enumerate([{text}]):",
             "    self.set_dataset(f'd{number}', each)")) for kind, text in values.items()
    ]  # fmt: skip
    odd = "one value that HDF5 cannot hold"
    cases += [
        _run(f"datasets: {text}", _lines("self.set_dataset('before', 1)", f"self.set_dataset('odd', {text})",
             "self.set_dataset('z', 1)"), differs=odd)
        for text in ("None", "{'a': 1}", "[[1], [2, 3]]", "2**70", "np.array(['a', 'b'])", "[1, 'a']", "'a\\0b'",
                     "np.str_('n')")
    ]  # fmt: skip
    return [
        *cases,
        _run("metadata", _lines("self.set_dataset('f', 2e6, unit='MHz', scale=1e6, precision=3)",
                                "self.set_dataset('g', 2e6, unit='MHz')",
                                "print(self.get_dataset_metadata('f'), self.get_dataset_metadata('g'))")),
        _run("mutate and append", _lines(
            "self.set_dataset('a', np.zeros(4))", "self.mutate_dataset('a', 1, 5)",
            "self.mutate_dataset('a', (2, 4), [6, 7])", "self.set_dataset('b', np.zeros((2, 3)))",
            "self.mutate_dataset('b', ((0, 2), (1, 2)), 8)", "self.set_dataset('l', [])",
            "self.append_to_dataset('l', 1)", "self.append_to_dataset('l', 2.5)", "self.mutate_dataset('l', 0, 9)")),
        _run("broadcast, persist, archive", _lines(
            "self.set_dataset('a', 1, broadcast=True)", "self.set_dataset('b', 2, persist=True)",
            "self.set_dataset('c', 3, archive=False)", "self.set_dataset('d', 4, broadcast=True, archive=False)",
            "print(self.get_dataset('a'), self.get_dataset('b'), self.get_dataset('d'))")),
        _run("append to a broadcast list", _lines(
            "self.set_dataset('l', [], broadcast=True)", "self.append_to_dataset('l', 1)"),
            differs="stores each append to a broadcast list twice"),
        _run("reading", _lines(
            "self.set_dataset('a', 1, broadcast=True, archive=False)", "self.get_dataset('a')",
            "self.set_dataset('b', 1, broadcast=True, archive=False)", "self.get_dataset('b', archive=False)",
            "self.setattr_dataset('a')", "print(self.a, self.get_dataset('none', 5), self.get_dataset('none', None))",
            "self.setattr_dataset('nothing', 7)", "print(self.nothing)")),
        _run("a dataset that is not there", _lines("self.get_dataset('none')")),
        _run("a dataset that is not there, caught", _lines(
            "for call in (lambda: self.get_dataset('none'), lambda: self.get_dataset_metadata('none'),",
            "             lambda: self.append_to_dataset('none', 1), lambda: self.mutate_dataset('none', 0, 1)):",
            "    try:", "        call()", "    except KeyError:", "        print('KeyError')")),
        _run("names with dots and slashes", _lines("self.set_dataset('a.b', 1)", "self.set_dataset('n/s', 2)",
                                                   "self.set_dataset('with space', 3)", "self.set_dataset('µ', 4)")),
        _run("datasets of build", "def build(self):\n    self.set_dataset('b', 1)\ndef run(self):\n    pass\n"),
        _run("datasets of analyze", "def run(self):\n    pass\ndef analyze(self):\n    self.set_dataset('a', 1)\n"),
        _run("an experiment that fails", _lines("self.set_dataset('a', 1)", "raise ValueError('in run')")),
    ]  # fmt: skip


def _life() -> list[Case]:
    """Return cases of the life of an experiment, and of what it finds around it."""
    phases = "".join(
        f"def {name}(self):\n    print('{name}')\n" for name in ("build", "prepare", "run", "analyze")
    )
    body = """def build(self, *args, **kwargs):
    self.setattr_argument('y', NumberValue(1))
    print(args, kwargs)
def prepare(self):
    print('child')
"""
    child = _class(body, "Child", "HasEnvironment")
    parent = (
        "def build(self):\n    self.child = Child(self, 1, two=2)\ndef run(self):\n    print(self.child.y)\n"
    )
    build = "def build(self):\n    {}\ndef run(self):\n    {}\n"
    return [
        _run("the phases", phases),
        Case("a child", _HEAD + child + _class(parent), ("y=2",)),
        _run("no run()", "pass"),
        _run("run() that raises", _lines("1 / 0")),
        _run("prepare() that raises", "def prepare(self):\n    1 / 0\n" + _NAMED),
        _run("analyze() that raises", _NAMED + "def analyze(self):\n    1 / 0\n"),
        _run("build() that raises", "def build(self):\n    1 / 0\n" + _NAMED),
        _run("sys.exit", _lines("import sys", "sys.exit(3)")),
        _run("sys.exit without a status", _lines("import sys", "sys.exit()")),
        _run("TerminationRequested from run()", _lines("raise TerminationRequested")),
        _run("an argument outside build()", _lines("self.get_argument('x', NumberValue(1))")),
        _run("default scheduling", build.format(
             "self.set_default_scheduling(priority=5, pipeline_name='p', flush=True)", "print('ran')")),
        _run("default scheduling outside build()", _lines("self.set_default_scheduling(priority=5)")),
        _run("the scheduler", build.format("self.setattr_device('scheduler')",
             "s = self.scheduler; print(s.rid, s.pipeline_name, s.priority, s.check_pause(), s.pause())")),
        _run("check_termination", build.format("self.setattr_device('scheduler')",
             "print(self.scheduler.check_termination())"), differs="the scheduler of `artiq_run`"),
        _run("the expid of the scheduler", build.format("self.setattr_device('scheduler')",
             "print(sorted(self.scheduler.expid), self.scheduler.expid['class_name'])"),
             differs="the scheduler of `artiq_run`"),
        _run("submitting", build.format("self.setattr_device('scheduler')",
             "print(self.scheduler.submit('main', self.scheduler.expid, 0, None, False))"),
             differs="the scheduler of `artiq_run`"),
        _run("the status of the schedule", build.format("self.setattr_device('scheduler')",
             "print(len(self.scheduler.get_status()))"), differs="the scheduler of `artiq_run`"),
        _run("the ccb", build.format("self.setattr_device('ccb')", "print(self.ccb.issue('create_applet', 'a', 'b'))")),
        _run("a device that is not there", build.format("self.setattr_device('laser')", "pass")),
        _run("the device database", _lines("print(self.get_device_db())")),
        _run("kernel_invariants", build.format("self.setattr_argument('x', NumberValue(1)); self.setattr_device('ccb')",
                                               "print(sorted(self.kernel_invariants))")),
        _run("units", _lines("for each in 'ps ns us ms s mHz Hz kHz MHz GHz dB mV V kV uV uA mA A uW mW W nW'.split():",
                             "    print(each, globals().get(each))")),
        _run("MultiScanManager", _lines(
            "scan = MultiScanManager(('a', RangeScan(0, 1, 2)), ('b', ExplicitScan([5, 6])))",
            "for point in scan:", "    print(point.a, point.b)")),
        _run("interactive arguments without a terminal", _lines(
            "try:", "    with self.interactive('title') as answers:",
            "        answers.setattr_argument('n', NumberValue(1))", "    print(answers.n)",
            "except CancelledArgsError:", "    print('cancelled')"),
            differs="interactive arguments, without a terminal"),
        _run("names of kernels",
             "@kernel\ndef pulse(self):\n    delay(1*us)\n@rpc\ndef told(self):\n    print('told')\n"
             "@portable\ndef twice(self, x):\n    return 2 * x\n@host_only\ndef here(self):\n    pass\n"
             "def run(self):\n    self.told()\n    self.here()\n    print(self.twice(4), TInt32 is not None)\n"),
    ]  # fmt: skip


CASES: Final = (
    *_arguments(), *_classes(), *(replace(each, is_whole=True) for each in _datasets()), *_life(),
)  # fmt: skip
