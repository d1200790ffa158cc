"""A thousand runs as one dataset: `python -m benchmarks.runs [--count N] [--workers N]` makes and evaluates them.

Each run has a scan of 200 points (an axis, a signal, photon counts as an image of 200 shots a point) with units. They
are opened with `xarray.open_mfdataset(engine="rexec", parallel=True)` on local workers of `dask.distributed`, each a
process; one number a run is computed from all their images, and compared with what was put into the files.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from rexec.results import results_path, write_results
from schemas import RunIdentity

POINTS = 200
SHOTS = 200
BEGIN = 1_700_000_000.0


def phase_of(rid: int) -> float:
    """Return what a run is about: the phase of its fringe, in radians."""
    return rid * 0.01


def make(root: Path, count: int) -> list[Path]:
    """Write the files of so many runs in ARTIQ's folders, and return their paths."""
    paths = []
    time_axis = np.linspace(0, 1e-3, POINTS)
    for rid in range(count):
        start = BEGIN + 60 * rid
        path = results_path(root, rid, "Ramsey", _local(start))
        expid = {
            "file": "ramsey.py",
            "class_name": "Ramsey",
            "arguments": {"shots": SHOTS, "phase": phase_of(rid)},
        }
        identity = RunIdentity(rid=rid, class_name="Ramsey", start_time=start, expid=expid)
        mean = 10 * (1 + np.cos(2e4 * time_axis + phase_of(rid)))
        counts = np.random.default_rng(rid).poisson(mean[:, None], (POINTS, SHOTS)).astype(np.uint16)
        datasets = {
            "time": _item(time_axis, unit="s"),
            "signal": _item(counts.mean(axis=1), unit="counts"),
            "counts": _item(counts, unit="counts"),
            "phase": _item(phase_of(rid), unit="rad"),
        }
        paths.append(write_results(path, identity, datasets, plot=("signal", ["time"])))
    return paths


def _local(when: float) -> Any:
    from datetime import datetime

    return datetime.fromtimestamp(when)


def _item(value: Any, **metadata: Any) -> Any:
    from rexec.datasets import Dataset

    return Dataset(value, metadata)


def evaluate(paths: list[Path]) -> dict[str, float]:
    """Open all runs as one dataset on the workers, and compute from every image; return seconds by step."""
    import xarray

    begin = time.perf_counter()
    with xarray.open_mfdataset(
        paths,
        engine="rexec",
        combine="nested",
        concat_dim="rid",
        parallel=True,
        combine_attrs="drop_conflicts",
    ) as runs:
        opened = time.perf_counter() - begin
        assert dict(runs.sizes) == {
            "rid": len(paths),
            "time": POINTS,
            "counts_0": POINTS,
            "counts_1": SHOTS,
        }, runs.sizes
        assert runs["counts"].attrs["units"] == "counts"
        begin = time.perf_counter()
        means = runs["counts"].mean(("counts_0", "counts_1")).compute()
        phases = runs["phase"].compute()
        computed = time.perf_counter() - begin
    assert np.allclose(phases, [phase_of(rid) for rid in range(len(paths))])
    expected = [
        np.mean(10 * (1 + np.cos(2e4 * np.linspace(0, 1e-3, POINTS) + phase_of(rid))))
        for rid in range(len(paths))
    ]
    assert np.allclose(means, expected, rtol=0.05)
    return {"opened": opened, "computed": computed}


def main() -> None:
    """Measure and print."""
    from dask.distributed import Client, LocalCluster

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="runs (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        begin = time.perf_counter()
        paths = make(Path(folder), options.count)
        made = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in paths)
        print(f"{'made':10} {made:7.2f} s   {options.count} runs, {size / 1e6:.0f} MB", flush=True)
        begin = time.perf_counter()
        with (
            LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster),
        ):
            print(
                f"{'workers':10} {time.perf_counter() - begin:7.2f} s   {options.workers} processes",
                flush=True,
            )
            for step, seconds in evaluate(paths).items():
                print(
                    f"{step:10} {seconds:7.2f} s   {seconds / options.count * 1e3:.1f} ms a run", flush=True
                )


if __name__ == "__main__":
    main()
