"""The stand-in for `artiq.experiment`: what an experiment with kernels finds where ARTIQ is not installed."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rexec.experiment import EnvExperiment, TerminationRequested
from rexec.experiment.artiq_language import artiq_language, modules
from rexec.experiment.errors import termination_exception

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
    from rexec.experiment.artiq_language import _NoTimeline, delay, set_time_manager

    set_time_manager(_NoTimeline())
    with pytest.raises(NotImplementedError, match="setattr_device"):
        delay(1.0)


@pytest.mark.usefixtures("language")
def test_a_requested_termination_is_one_class() -> None:
    assert termination_exception() is TerminationRequested


@pytest.mark.usefixtures("language")
def test_what_is_not_here_is_no_module() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"artiq\.coredevice\.ad9910"):
        __import__("artiq.coredevice.ad9910")


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
