"""What notebooks show of a run: what it is, its datasets, and its picture where matplotlib is installed."""

import base64
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from devicedb import html
from devicedb.printable import printable
from rexec.results.errors import ResultsError
from rexec.results.reading.plotting import names, plot
from rexec.results.reading.shown import moment, stored_shown

if TYPE_CHECKING:
    from rexec.results.reading.runs import Run, StoredDataset


def run_html(run: "Run") -> str:
    """Return a run as a page's part; what cannot be read or drawn is left out."""
    identity = run.identity
    began = identity.get("start_time")
    facts = [
        ("began", moment(began) if began else ""),
        ("file", run.path),
        ("simulated", "these data were not measured" if run.is_simulated else ""),
        ("error", run.error),
        *(("degraded", text) for text in run.degraded),
    ]
    title = " of ".join(names(run))
    rows = [(stored.key, *_value(stored)) for stored in run.datasets.values()]
    return (
        html.heading(title, run.status)
        + html.facts(facts)
        + html.table(("dataset", "value", "unit"), rows)
        + _picture(run, title)
    )


def _value(stored: "StoredDataset") -> tuple[str, str]:
    try:
        return stored_shown(stored)
    except ResultsError as error:
        return f"({error})", ""


def _picture(run: "Run", title: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "picture.png"
        try:
            plot(run, target)
        except ResultsError:  # nothing to draw, or no matplotlib
            return ""
        data = base64.b64encode(target.read_bytes()).decode()
    return f'<img alt="plot of {escape(printable(title))}" src="data:image/png;base64,{data}">'
