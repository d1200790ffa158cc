"""Datasets of a run, as an experiment reads and changes them."""

import os
import threading
import time
from pathlib import Path

from ..row import Cost, Work, row


@row("`append_to_dataset`, then `get_dataset(key)[-1]`, of n items", start=6400, per=100, owed="constant")
def append_read(size: int, folder: Path) -> Work:
    from rexec.datasets import DatasetDB, DatasetManager

    manager = DatasetManager(DatasetDB(None))
    manager.set("x", [0.5] * size)
    for _ in range(5):  # the lists have room at their ends from then on
        manager.append_to("x", 0.5)
        manager.get("x")

    def work() -> None:
        for number in range(100):
            manager.append_to("x", float(number))
            assert manager.get("x")[-1] == number

    return work


@row("`append_to_dataset` to a list of n floats: bytes of the journal", start=6400, per=1000, owed="20 bytes")
def append_journal(size: int, folder: Path) -> Work:
    from rexec.datasets import DatasetDB, DatasetManager
    from rexec.results import ResultsWriter
    from schemas import RunIdentity

    identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
    manager = DatasetManager(
        DatasetDB(None), sink=ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
    )
    manager.set("x", [0.5] * size)

    def work() -> None:
        for number in range(1000):
            manager.append_to("x", number * 0.5)

    return work


@row("append to a broadcast list of n, `rexec run --master`", start=1000, per=100, owed="constant")
def append_master(size: int, folder: Path) -> Work:
    from rexec.cli._master import MasterDatasets
    from rexec.datasets import DatasetDB, DatasetManager
    from rexec.master.thread import MasterThread

    master = MasterThread(DatasetDB(None))
    manager = DatasetManager(MasterDatasets("127.0.0.1", master.port))
    manager.set("x", [0.5] * size, broadcast=True)
    manager.append_to("x", 0.5)

    def work() -> None:
        for number in range(100):
            manager.append_to("x", number * 0.5)

    return work


@row("append to a persistent list of n", start=1000, per=10, owed="what is written is what is new")
def append_persistent(size: int, folder: Path) -> Work:
    from rexec.datasets import DatasetDB, DatasetManager

    manager = DatasetManager(DatasetDB(folder / "dataset_db.mdb"))
    manager.set("x", [0.5] * size, persist=True)

    def work() -> None:
        for number in range(10):
            manager.append_to("x", number * 0.5)

    return work


@row("the longest refresh while a run appends n floats at full speed", start=50_000, owed="linear: it ends")
def refresh_at_full_speed(size: int, folder: Path) -> Work:
    from rexec.datasets import DatasetDB, DatasetManager
    from rexec.results import ResultsWriter
    from schemas import RunIdentity

    identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
    writer = ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
    manager = DatasetManager(DatasetDB(None), sink=writer)
    manager.set("x", [])

    def work() -> Cost:
        """Return how long the longest of the refreshes took, which another thread asks for all the time."""
        durations: list[float] = []
        is_over = threading.Event()

        def refresh() -> None:
            while not is_over.is_set():
                begun = time.perf_counter()
                writer.snapshot()
                durations.append(time.perf_counter() - begun)

        thread = threading.Thread(target=refresh)
        thread.start()
        for number in range(size):
            manager.append_to("x", number * 0.5)
        is_over.set()
        thread.join()
        return Cost(max(durations))

    return work


@row("n frames of 4 MB of noise appended: the end of the run", start=2, owed="3 s at 200, memory of 2 frames")
def append_frames(size: int, folder: Path) -> Work:
    import numpy as np

    from rexec.datasets import DatasetDB, DatasetManager
    from rexec.results import ResultsWriter
    from schemas import RunIdentity

    identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
    writer = ResultsWriter.create(folder / "r.h5", identity)
    manager = DatasetManager(DatasetDB(None), sink=writer)
    manager.set("x", [])
    noise = np.frombuffer(np.random.default_rng(1).bytes(4_000_000), np.uint16)

    def work() -> Cost:
        for number in range(size):
            manager.append_to("x", noise + np.uint16(number))
        begun = time.perf_counter()
        writer.close()
        return Cost(time.perf_counter() - begun)

    return work


@row("a live image of 4 MB set n times: disk used by the journal", start=20, owed="constant")
def live_image(size: int, folder: Path) -> Work:
    import numpy as np

    from rexec.datasets import DatasetDB, DatasetManager
    from rexec.results import ResultsWriter
    from schemas import RunIdentity

    identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
    writer = ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
    manager = DatasetManager(DatasetDB(None), sink=writer)
    image = np.random.default_rng(1).integers(0, 2**16, (2000, 1000), dtype=np.uint16)

    def work() -> Cost:
        begun = time.perf_counter()
        for number in range(size):
            manager.set("image", image + np.uint16(number))
        seconds = (time.perf_counter() - begun) / size
        # In the column of memory: what the run holds on the disk.
        return Cost(seconds, os.stat(folder / "r.h5.journal").st_blocks * 512)

    return work


@row("end of a run with n datasets: CPU time", start=100, owed="2 s at 10,000")
def end_many(size: int, folder: Path) -> Work:
    from rexec.datasets import DatasetDB, DatasetManager
    from rexec.results import ResultsWriter
    from schemas import RunIdentity

    identity = RunIdentity(rid=1, class_name="B", start_time=0.0)
    writer = ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
    manager = DatasetManager(DatasetDB(None), sink=writer)
    for number in range(size):
        manager.set(f"d{number}", number * 0.5)

    def work() -> Cost:
        begun = time.process_time()
        writer.close()
        return Cost(time.process_time() - begun)

    return work
