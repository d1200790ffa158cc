"""The default plot of a result file as NeXus viewers (silx, h5web, NeXpy) look for it, written and read.

`/` has the attribute `default`, which leads to `/rexec` (NXentry), whose `default` leads to the group `plot` (NXdata).
In that group are links to the datasets; its attributes `signal` and `axes` name them (NeXus manual, "Associating
plottable data using attributes applied to the NXdata group").
"""

from collections.abc import Mapping
from typing import Any, Final

import h5py

from rexec.ground.quantities import display_of
from rexec.results.hdf5.values import Attributes, metadata_of

_PLOT: Final = "plot"


def write_plot(file: h5py.File, plot: Any, names: Mapping[str, str]) -> None:
    """Write which dataset is shown first.

    Args:
        file: The result file.
        plot: What the run has declared: dict of `signal` and `axes`, or None.
        names: Path of each dataset below `/datasets`.

    """
    if not isinstance(plot, dict) or plot.get("signal") not in names:
        return
    signal = file["datasets"][names[plot["signal"]]]
    axes = [axis if axis in names else None for axis in plot.get("axes", [])][: len(signal.shape)]
    file.attrs["NX_class"], file.attrs["default"] = "NXroot", "rexec"
    ours = file["rexec"]
    ours.attrs["NX_class"], ours.attrs["default"] = "NXentry", _PLOT
    group = ours.require_group(_PLOT)
    group.attrs["NX_class"] = "NXdata"
    links = {key: f"/datasets/{names[key]}" for key in (plot["signal"], *axes) if key is not None}
    called = {key: _link_name(key, number) for number, key in enumerate(links)}
    for stale in set(group) - set(called.values()):
        del group[stale]
    for key, path in links.items():
        old = group.get(called[key], getlink=True)
        if not isinstance(old, h5py.SoftLink) or old.path != path:
            if old is not None:
                del group[called[key]]
            group[called[key]] = h5py.SoftLink(path)
        units = display_of(metadata_of(Attributes(file[path]))).base_unit
        if units:
            file[path].attrs["units"] = units
    group.attrs["signal"] = called[plot["signal"]]
    # "." is an axis that has no values of its own.
    group.attrs["axes"] = ["." if axis is None else called[axis] for axis in axes]


def _link_name(key: str, number: int) -> str:
    plain = "".join(char if char.isalnum() or char in "_-. " else "_" for char in key).strip(". ")
    return plain if number == 0 and plain else f"{plain}_{number}" if plain else f"axis_{number}"


def declared_paths(file: h5py.File) -> tuple[str, list[str | None]] | None:
    """Return the path of the dataset that is shown first, and those of its axes (None: no values of its own).

    None where the file says nothing of it, or nothing that can be read.
    """
    try:
        group = file["rexec"][_PLOT]
        names = [name for name in (group.attrs["signal"], *group.attrs["axes"]) if name != "."]
        links = {name: group.get(name, getlink=True) for name in names}
        paths = {name: link.path for name, link in links.items() if isinstance(link, h5py.SoftLink)}
        return paths[group.attrs["signal"]], [paths.get(name) for name in group.attrs["axes"]]
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError):
        return None
