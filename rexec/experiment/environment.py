"""What an experiment class is made of: devices, arguments, datasets, children. Meaning as in ARTIQ."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from rexec.experiment.errors import CancelledArgsError, NoDefault
from rexec.experiment.hints import dataset_storage, default_plot


class HasEnvironment:
    """Base of everything that uses devices, arguments and datasets of a run.

    Args:
        managers_or_parent: The tuple (device manager, dataset manager, argument manager, default scheduling)
            that a runner gives, or an object of this class whose child the new one is.
        args, kwargs: Passed on to `build`.

    """

    def __init__(self, managers_or_parent: Any, *args: Any, **kwargs: Any) -> None:
        self.children: list[Any] = []
        if isinstance(managers_or_parent, tuple):
            self.__device_mgr, self.__dataset_mgr, self.__argument_mgr, scheduling = managers_or_parent
            self.__default_scheduling: dict[str, Any] = scheduling
        else:
            self.__device_mgr = managers_or_parent.__device_mgr  # noqa: SLF001  # of this class
            self.__dataset_mgr = managers_or_parent.__dataset_mgr  # noqa: SLF001  # of this class
            self.__argument_mgr = managers_or_parent.__argument_mgr  # noqa: SLF001  # of this class
            self.__default_scheduling = {}
            managers_or_parent.register_child(self)
        self.__in_build = True
        self.build(*args, **kwargs)
        self.__in_build = False

    def build(self) -> None:
        """Ask for arguments and devices; the class of the experiment overrides it."""

    def register_child(self, child: Any) -> None:
        """Add an object to the children; its constructor does so."""
        self.children.append(child)

    def call_child_method(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Call a method of every child that has it, in order of creation."""
        for child in self.children:
            if hasattr(child, method):
                getattr(child, method)(*args, **kwargs)

    def get_argument(
        self, key: str, processor: Any, group: str | None = None, tooltip: str | None = None
    ) -> Any:
        """Return the value of an argument; only in `build`.

        Args:
            key: Its name.
            processor: Its kind: `NumberValue(...)` and the like.
            group, tooltip: For a user interface.

        """
        if not self.__in_build:
            raise TypeError(
                f"argument {key!r} is asked for outside build(): arguments are fixed before a run. "
                "Use `with self.interactive() as answers:` to ask while it goes on"
            )
        return self.__argument_mgr.get(key, processor, group, tooltip)

    def setattr_argument(
        self, key: str, processor: Any = None, group: str | None = None, tooltip: str | None = None
    ) -> None:
        """Set an attribute to the argument of that name; only in `build`.

        Args:
            key: Name of attribute and argument.
            processor: What kind of value it is, and its default, such as `NumberValue(1)`; None: a text without one.
            group: Heading of a user interface under which it is.
            tooltip: Help that a user interface shows.

        """
        if processor is None:
            from rexec.experiment.arguments import PYONValue

            processor = PYONValue()
        setattr(self, key, self.get_argument(key, processor, group, tooltip))
        self.__invariant(key)

    @contextmanager
    def interactive(self, title: str = "") -> Iterator[Any]:
        """Ask a person for arguments while the experiment runs.

        The context is an object with `setattr_argument`; after the block it has the values as attributes.

        Raises:
            CancelledArgsError: The person cancelled, or nobody is there to ask.

        """
        requests: list[tuple[str, Any, str | None, str | None]] = []

        def setattr_argument(
            key: str, processor: Any = None, group: str | None = None, tooltip: str | None = None
        ) -> None:
            requests.append((key, processor, group, tooltip))

        answers = SimpleNamespace(setattr_argument=setattr_argument)
        yield answers
        del answers.setattr_argument
        values = self.__argument_mgr.get_interactive(requests, title)
        if values is None:
            raise CancelledArgsError(f"no answer to {title or ', '.join(key for key, *_ in requests)}")
        for key, value in values.items():
            setattr(answers, key, value)

    def get_device_db(self) -> dict[str, Any]:
        """Return the whole device database."""
        database: dict[str, Any] = self.__device_mgr.get_device_db()
        return database

    def get_device(self, key: str, *, exclusive: bool = False) -> Any:
        """Return a device, connected or constructed.

        Args:
            key: Its name.
            exclusive: Use its controller alone: another run waits for it, or is refused.

        """
        # A master's device manager has no such parameter.
        return self.__device_mgr.get(key, exclusive=True) if exclusive else self.__device_mgr.get(key)

    def setattr_device(self, key: str, *, exclusive: bool = False) -> None:
        """Set an attribute to the device of that name; `exclusive` as in `get_device`."""
        setattr(self, key, self.get_device(key, exclusive=exclusive) if exclusive else self.get_device(key))
        self.__invariant(key)

    def set_dataset(
        self,
        key: str,
        value: Any,
        *,
        unit: str | None = None,
        scale: float | None = None,
        precision: int | None = None,
        broadcast: bool = False,
        persist: bool = False,
        archive: bool = True,
    ) -> None:
        """Set a dataset.

        Args:
            key: Its name, a path in the results file.
            value: A scalar, a str, a list of numbers, an array.
            unit, scale, precision: How to show it: symbol, factor of the symbol, digits after the point.
            broadcast: Whether others see it while the run goes on.
            persist: Whether the dataset database keeps it; implies `broadcast`.
            archive: Whether it is written into the results file.

        """
        metadata = {
            name: given
            for name, given in (("unit", unit), ("scale", scale), ("precision", precision))
            if given is not None
        }
        self.__dataset_mgr.set(key, value, metadata, broadcast, persist, archive)

    def dataset_storage(self, key: str, **settings: Any) -> None:
        """Say how a dataset is stored in the result file: see `rexec.experiment.dataset_storage`."""
        dataset_storage(self, key, **settings)

    def default_plot(self, signal: str, axes: Sequence[str] = ()) -> None:
        """Say which dataset viewers show first, against which: see `rexec.experiment.default_plot`."""
        default_plot(self, signal, axes)

    def mutate_dataset(self, key: str, index: Any, value: Any) -> None:
        """Set a part of a dataset; a tuple of ints as index is a slice, a tuple of tuples one slice a dimension."""
        self.__dataset_mgr.mutate(key, index, value)

    def append_to_dataset(self, key: str, value: Any) -> None:
        """Append to a dataset that is a list and was set by this run."""
        self.__dataset_mgr.append_to(key, value)

    def get_dataset(self, key: str, default: Any = NoDefault, archive: bool = True) -> Any:
        """Return a dataset: of this run, else of the dataset database.

        Args:
            key: Its name.
            default: Returned where there is none; without it that is a KeyError.
            archive: Whether the value is kept in the results file, as an input of the run.

        """
        try:
            return self.__dataset_mgr.get(key, archive)
        except KeyError:
            if default is NoDefault:
                raise
            return default

    def get_dataset_metadata(self, key: str, default: Any = NoDefault) -> Any:
        """Return the metadata of a dataset: a dict with those of unit, scale and precision that were given."""
        try:
            return self.__dataset_mgr.get_metadata(key)
        except KeyError:
            if default is NoDefault:
                raise
            return default

    def setattr_dataset(self, key: str, default: Any = NoDefault, archive: bool = True) -> None:
        """Set an attribute to the value of the dataset of that name."""
        setattr(self, key, self.get_dataset(key, default, archive))

    def set_default_scheduling(
        self, priority: int | None = None, pipeline_name: str | None = None, flush: bool | None = None
    ) -> None:
        """Set the defaults of a master's schedule for the experiment; only in `build`. None leaves one as it is.

        Args:
            priority: Runs of a higher one come first.
            pipeline_name: Runs of one pipeline follow each other.
            flush: Whether to wait until the pipeline is empty.

        """
        if not self.__in_build:
            raise TypeError("set_default_scheduling() belongs in build()")
        given = (("priority", priority), ("pipeline_name", pipeline_name), ("flush", flush))
        self.__default_scheduling.update({name: value for name, value in given if value is not None})

    def __invariant(self, key: str) -> None:
        """Mark an attribute as constant for ARTIQ's compiler of kernels."""
        self.kernel_invariants = {*getattr(self, "kernel_invariants", ()), key}


class Experiment:
    """Base of every experiment: the methods that a runner calls."""

    def prepare(self) -> None:
        """Compute whatever needs no hardware; another run may have the hardware meanwhile."""

    def run(self) -> None:
        """Do the experiment."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    def analyze(self) -> None:
        """Evaluate the data; another run may have the hardware already."""


class EnvExperiment(Experiment, HasEnvironment):
    """An experiment with devices, arguments and datasets: what most classes derive from."""

    def prepare(self) -> None:
        """Call `prepare` of the children."""
        self.call_child_method("prepare")
