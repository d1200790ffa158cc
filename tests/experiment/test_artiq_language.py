"""The stand-in for `artiq.experiment`: what an experiment with kernels finds where ARTIQ is not installed."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rexec.experiment import (
    EnvExperiment,
    ExperimentError,
    TerminationRequested,
    TInt32,
    kernel,
    kernel_from_string,
    portable,
)
from rexec.experiment.artiq_language import artiq_language, missing, modules
from rexec.experiment.errors import termination_exception
from rexec.experiment.runner import imported
from rexec.simulate.local import StandIn
from rexec.wire.pc_rpc import Client

SOURCE = """
from artiq.experiment import *
from artiq.language.core import kernel as same
from artiq.coredevice.exceptions import RTIOUnderflow as Underflow

class Blink(EnvExperiment):
    def build(self):
        self.setattr_device("core")
        self.setattr_argument("times", Scannable(RangeScan(0, 1, 3), unit="us"))

    @kernel
    def blink(self, n: TInt32, *, pause=1.0) -> TFloat:
        for i in range(n):
            with parallel:
                delay(pause)
                with sequential:
                    delay_mu(3)
        at_mu(7)
        self.report(now_mu())
        return self.inner()

    @kernel("core", flags={"fast-math"})
    def inner(self):
        return twice(2.0)

    @rpc(flags={"async"})
    def report(self, at):
        self.at = at

@portable
def twice(x) -> TFloat:
    return 2 * x
"""


class Core:
    """Notes what is asked of a core, and of its timeline."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def run(self, function: Any, args: Any, kwargs: Any) -> Any:
        self.said.append(function.__name__)
        return function.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        def note(*args: Any) -> int:
            self.said.append((name, *args))
            return 7

        return note


@pytest.fixture
def language() -> Iterator[None]:
    with artiq_language() as provided:
        if not provided:
            pytest.skip("ARTIQ itself is installed here")
        yield
    assert not [name for name in sys.modules if name.partition(".")[0] == "artiq"]


@pytest.mark.usefixtures("language")
def test_kernels_run_here_by_way_of_the_core() -> None:
    namespace: dict[str, Any] = {"__name__": "blink"}
    exec(SOURCE, namespace)
    blink = namespace["Blink"]
    assert issubclass(blink, EnvExperiment)
    core = Core()
    sys.modules["artiq.language.core"].__dict__["set_time_manager"](core)
    experiment = blink.__new__(blink)
    experiment.core = core
    assert experiment.blink(1, pause=0.5) == 4.0
    assert experiment.at == 7
    assert core.said == [
        "blink", ("enter_parallel",), ("take_time", 0.5), ("enter_sequential",), ("take_time_mu", 3), ("exit",),
        ("exit",), ("set_time_mu", 7), ("get_time_mu",), "inner",
    ]  # fmt: skip


@pytest.mark.usefixtures("language")
def test_without_a_core_the_timeline_says_what_is_missing() -> None:
    from rexec.experiment.language import _NoTimeline, delay, set_time_manager

    set_time_manager(_NoTimeline())
    with pytest.raises(NotImplementedError, match="setattr_device"):
        delay(1.0)


@pytest.mark.usefixtures("language")
def test_a_requested_termination_is_one_class() -> None:
    assert termination_exception() is TerminationRequested


DRIVERS = """
import artiq.coredevice.spi2
from artiq.coredevice import spi2 as spi
from artiq.coredevice.ad9910 import AD9910, PHASE_MODE_TRACKING, RAM_DEST_ASF
from artiq.coredevice.exceptions import RTIOUnderflow as same
from artiq.coredevice.ad53xx import voltage_to_mu
from artiq.coredevice.edge_counter import CounterOverflow
from artiq.coredevice.sampler import adc_mu_to_volt
from artiq.coredevice.urukul import *
from artiq.experiment import RTIOUnderflow
"""


@pytest.mark.usefixtures("language")
def test_modules_of_drivers_have_constants_errors_and_names() -> None:
    names: dict[str, Any] = {}
    exec(DRIVERS, names)
    assert names["artiq"].coredevice.spi2 is names["spi"]
    assert names["artiq"].coredevice.__name__ == "artiq.coredevice"
    assert names["spi"].SPI_END | names["spi"].SPI_INPUT == 6
    assert (names["PHASE_MODE_TRACKING"], names["RAM_DEST_ASF"], names["DEFAULT_PROFILE"]) == (2, 2, 7)
    assert names["same"] is names["RTIOUnderflow"]
    assert issubclass(names["CounterOverflow"], Exception)
    stand_in = StandIn(None, "dds", "artiq.coredevice.ad9910.AD9910")
    assert isinstance(stand_in, names["AD9910"])
    assert not isinstance(stand_in, names["CPLD"])
    with pytest.raises(NotImplementedError, match=r"AD9910 is only a name here.*device database"):
        names["AD9910"](None)
    with pytest.raises(NotImplementedError, match=r"voltage_to_mu\(\) is code of ARTIQ.*Install it"):
        names["voltage_to_mu"](5)
    # As ARTIQ 9 answers.
    assert [names["adc_mu_to_volt"](*given) for given in ((1,), (1, 1, False), (-32768, 3))] == [
        0.0003125,
        3.0517578125e-05,
        -0.01024,
    ]


def test_the_reference_library_is_answered_by_ours_meanwhile() -> None:
    if importlib.util.find_spec("sipyco") is not None or importlib.util.find_spec("artiq") is not None:
        pytest.skip("the reference library or ARTIQ is installed here")
    with artiq_language():
        names: dict[str, Any] = {}
        exec("from sipyco import pyon\nfrom sipyco.pc_rpc import Client", names)
        assert (names["pyon"].decode("[1]"), names["Client"]) == ([1], Client)
    assert importlib.util.find_spec("sipyco") is None
    assert not [name for name in sys.modules if name.partition(".")[0] == "sipyco"]


@pytest.mark.usefixtures("language")
def test_what_has_no_stand_in_says_what_to_install(tmp_path: Path) -> None:
    for text in ("from artiq.coredevice.ad9910 import NOTHING", "import artiq.dashboard.experiments"):
        path = tmp_path / "experiment.py"
        path.write_text(text)
        with pytest.raises(
            ExperimentError, match=r"this part of it has no stand-in: install ARTIQ$"
        ) as caught:
            imported(path)
    assert "No module named 'artiq.dashboard'. ARTIQ is" in str(caught.value)  # not: 'artiq' is no package
    path.write_text("from artiq.protocols.pc_rpc import Client")
    with pytest.raises(
        ExperimentError, match=r"Since ARTIQ 5 its modules are in `sipyco` .*: change the import$"
    ):
        imported(path)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            ModuleNotFoundError("none", name="scipy.fft"),
            ". Install the package that has 'scipy', or put its folder on",
        ),
        (ModuleNotFoundError("none"), ""),
        (ImportError("no such name", name="scipy"), ""),
        (
            ImportError("none", name="artiq.coredevice"),
            "import from rexec.experiment, or run with --simulate",
        ),
        (ImportError("none", name="artiq.protocols.pyon"), "change the import"),
    ],
    ids=repr,
)
def test_advice_about_a_failed_import_is_given_where_there_is_one(error: ImportError, advice: str) -> None:
    assert advice in missing(error)
    assert bool(missing(error)) == bool(advice)


def test_every_name_of_artiqs_language_is_one_of_ours() -> None:
    """Recorded from releases 7 to 9."""
    names: dict[str, Any] = {}
    exec("from rexec.experiment import *", names)
    recorded = """
        A BooleanValue CancelledArgsError CenterScan DefaultMissing EnumerationValue EnvExperiment Experiment
        ExplicitScan GHz HasEnvironment Hz MHz MultiScanManager NoDefault NoScan NumberValue PYONValue
        RTIOOverflow RTIOUnderflow RangeScan ScanObject Scannable StringValue TArray TBool TByteArray TBytes
        TFloat TInt32 TInt64 TList TNone TRange32 TRange64 TStr TTuple TVar TerminationRequested V W at_mu dB
        delay delay_mu host_only interleave kHz kV kernel kernel_from_string mA mHz mV mW ms nW now_mu ns
        parallel portable ps rpc s sequential set_time_manager set_watchdog_factory subkernel syscall uA uV uW
        us watchdog
    """.split()
    assert not set(recorded) - names.keys()
    assert not set(recorded) - modules()["artiq.experiment"].keys()


def test_a_kernel_of_ours_is_refused_by_a_real_core() -> None:
    class RealCore:
        pass

    RealCore.__module__ = "artiq.coredevice.core"

    class Blink:
        core = RealCore()

        @kernel
        def blink(self) -> None:
            """Do nothing."""

    with pytest.raises(TypeError, match=r"blink\(\) is no kernel of ARTIQ.*artiq\.experiment"):
        Blink().blink()


def test_a_kernel_is_made_of_text() -> None:
    function = kernel_from_string(["a", ("b", TInt32)], "c = a + b\nreturn 2 * c", portable)
    assert function(1, 2) == 6


def test_an_annotation_reads_as_it_was_written() -> None:
    from rexec.experiment import TList, TTuple

    assert repr(TTuple([TInt32, TList(TInt32)])) == "TTuple([TInt32, TList(TInt32)])"


def test_every_name_of_the_language_is_there() -> None:
    """Names of ARTIQ 9's `artiq.experiment`, without those that only its compiler knows."""
    names = set(modules()["artiq.experiment"])
    assert names >= set(
        "BooleanValue CancelledArgsError CenterScan DefaultMissing EnumerationValue EnvExperiment Experiment "
        "ExplicitScan HasEnvironment MHz MultiScanManager NoDefault NoScan NumberValue PYONValue RTIOOverflow "
        "RTIOUnderflow RangeScan ScanObject Scannable StringValue TArray TBool TFloat TInt32 TInt64 TList TNone TStr "
        "TTuple TerminationRequested at_mu dB delay delay_mu host_only interleave kernel ms now_mu ns parallel "
        "portable rpc sequential set_time_manager subkernel us watchdog".split()
    )


@pytest.mark.usefixtures("language")
@pytest.mark.parametrize("module", ["artiq.experiment", "artiq.language"])
def test_a_star_import_hides_no_module_of_python(module: str) -> None:
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    assert {"EnvExperiment", "kernel", "ms"} <= set(names)
    assert [key for key, value in names.items() if isinstance(value, ModuleType)] == []


def test_an_artiq_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("artiq")
    monkeypatch.setitem(sys.modules, "artiq", theirs)
    with artiq_language() as provided:
        assert (provided, sys.modules["artiq"]) == (False, theirs)
    assert sys.modules["artiq"] is theirs
