"""What a query means: compared with a filter over all files, and refused in one line where it means nothing."""

import os
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rexec.catalogue import QueryError, find
from rexec.catalogue.moments import stretch
from rexec.catalogue.notes import comment, tag
from rexec.catalogue.query import FIELDS
from rexec.results import ResultsError
from schemas import GitState
from tests.catalogue.brute import TERMS, Read, Test, in_order, read_all
from tests.catalogue.laboratories import BEGIN, laboratory, made, settled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a laboratory with comments and tags."""
    folder = tmp_path_factory.mktemp("laboratory") / "results"
    folder.mkdir()
    paths = laboratory(folder, 20, seed=5)
    comment(paths[3], "the laser had a Drift")
    tag(paths[4], ["paper", "bad"])
    tag(paths[5], ["paper"])
    settled(folder)
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> list[Read]:
    """Return the files of the laboratory, read one by one."""
    return read_all(folder)


@settings(max_examples=150, deadline=None)
@given(found=st.lists(TERMS, min_size=1, max_size=3))
def test_find_is_a_filter_over_the_files(
    folder: Path, files: list[Read], found: list[tuple[str, Test]]
) -> None:
    query = " ".join(text for text, _ in found)
    expected = [each for each in files if all(test(each) for _, test in found)]
    assert [run.path for run in find(query, folder=folder)] == in_order(expected), query


PIECES = st.sampled_from(
    [*FIELDS, "phase", "exposure", "mode", "=", "<", ">=", "!=", "~", "..", ",", '"', " ", "5ms", "1e999", "-1", "*",
     "monday", "2026-13-01", "9" * 400, "yes", "\0", "\udcff", "\u202e", "é", "(", "'", "%",
     "; DROP TABLE run; --", "argument.", "nan"]
)  # fmt: skip


def refusal_of(query: str, folder: Path) -> str | None:
    """Return why a query is refused; None: it is not."""
    try:
        find(query, folder=folder)
    except QueryError as error:
        return str(error)
    return None


@settings(max_examples=300, deadline=None)
@given(query=st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=8).map("".join)))
@example(query="rid=" + "1," * 300 + "1")
@example(query="x " * 60)
@example(query="class=" + "*a" * 50)
@example(query="time=0001-01-01 since=9999-12-31 until=999999d")
@example(query="phase=" + "9" * 5000)
@example(query="rid=99999999999999999999999..")
@example(query="exposure=1e400s phase=-inf..inf")
def test_any_text_is_understood_or_refused_in_one_line(folder: Path, query: str) -> None:
    said = refusal_of(query, folder)
    assert said is None or said.startswith("query not understood at ")
    assert said is None or (said.isprintable() and len(said) < 1200)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("class=Ramsey phas>1", r"'phas>1' \(character 14\): no run has an .* dataset 'phas'.* you mean 'phase'"),
        ("status=complete", r"no status 'complete'; known are running, killed, .*Did you mean 'completed'"),
        ("kind=run,other", r"at 'other' \(character 10\): no kind 'other'; known are run, artiq"),
        ("exposure>5", r"at '5' \(character 10\): exposure is shown in ms: write 5ms or 5s"),
        ("exposure>5V", r"exposure has no unit 'V'; known are ps, ns, us, ms, s"),
        ("phase>fast", r"> needs a number, such as 0.5 or 5ms"),
        ("exposure=long", r"exposure is a number: write 0.5 or 5ms"),
        ("class>3", r"class goes with =, !=, ~, not with >"),
        ("since=someday", r"no time: 'someday'; known are 2026-11-30,"),
        ("time=monday..whenever", r"no time: 'whenever'"),
        ("rid=1,5..2", r"at '5\.\.2' \(character 7\): the range ends before it begins"),
        ("phase=0.3..0.1", r"at '0\.3\.\.0\.1' \(character 7\): the range ends before it begins"),
        ("exposure!=5ms..100us", r"the range ends before it begins"),
        ("time=2026-11-03..2026-11-02", r"the range ends before it begins"),
        ("class=Ramsey or class=Rabi", r"at 'or class=Rabi' \(character 14\): alternatives are commas, .*\"or\" in"),
        ("NOT class=Ramsey", r"what must not be true is !=, such as class!=Ramsey"),
        ("class=Ramsey and phase>0", r"all terms must be true, without a word between them"),
        ("rid=4x", r"rid is a whole number such as 42, or a range such as 40..60"),
        ("dirty=perhaps", r"dirty is yes or no"),
        ("git=ab", r"give at least the first 4 characters of the hash for git"),
        ('class="Ramsey', r"at '\"Ramsey' \(character 7\): a quote \(\"\) is never closed"),
        ("phase>", r"at its end \(character 7\): a value is missing after >"),
        (">3", r"a name is missing before >; write NAME=VALUE"),
        ("rid=1,,2", r"a value is missing between commas"),
    ],
)  # fmt: skip
def test_an_error_says_where_and_what_is_known(folder: Path, query: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        find(query, folder=folder)


def test_values_have_forms(results: Path) -> None:
    made(
        results,
        1,
        arguments={"a b": 3, "f": 0.1 * 3, "flag": True, "t": 5e-3, "time": 7, "word": "x,y", "big": 10**400},
    )
    for query in (
        '"a b"=3',
        "f=0.3",
        "flag=yes",
        "flag=true",
        "flag=1",
        "t=5ms",
        "t=5000us",
        "t=4..6ms",
        "t=..5ms",
        "argument.time=7",
        'word="x,y"',
        "word~,Y",
        "word=x*",
        "t>=5ms t<=5ms",
        "f=0.2,0.3",
        "big>1e300",
        "f==0.3",
        "f > 0.2",
    ):
        assert len(find(query)) == 1, query
    for query in ("f!=0.3", "flag=no", "t=5V", "word=x", "big<0", "word=X*"):
        assert not find(query), query


def test_hashes_and_files_by_their_ends(results: Path) -> None:
    made(results, 1, git=GitState("/r", "abcdef1234"), device_db_sha256="123456", sources={"fedcba": "x"})
    for query in (
        "git=abcd",
        "db=1234",
        "code=FEDC",
        "file=scan.py",
        "file=lab/scan.py",
        "file=/lab/scan.py",
        "file=scan.*",
    ):
        assert len(find(query)) == 1, query
    for query in ("git=abce", "code!=fedc", "file=can.py", "db!=1234"):
        assert not find(query), query


NOW = datetime(2026, 11, 30, 9, 15, 30)  # a Monday


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-11-02", datetime(2026, 11, 2), datetime(2026, 11, 3)),
        ("2026-12", datetime(2026, 12, 1), datetime(2027, 1, 1)),
        ("2026", datetime(2026, 1, 1), datetime(2027, 1, 1)),
        ("2026-11-02T10:30", datetime(2026, 11, 2, 10, 30), datetime(2026, 11, 2, 10, 31)),
        ("2026-11-02 10:30:05", datetime(2026, 11, 2, 10, 30, 5), datetime(2026, 11, 2, 10, 30, 6)),
        ("08:00", datetime(2026, 11, 30, 8), datetime(2026, 11, 30, 8, 1)),
        ("today", datetime(2026, 11, 30), datetime(2026, 12, 1)),
        ("Yesterday", datetime(2026, 11, 29), datetime(2026, 11, 30)),
        ("monday", datetime(2026, 11, 30), datetime(2026, 12, 1)),
        ("tue", datetime(2026, 11, 24), datetime(2026, 11, 25)),
        ("sunday", datetime(2026, 11, 29), datetime(2026, 11, 30)),
        ("2h", datetime(2026, 11, 30, 7, 15, 30), datetime(2026, 11, 30, 7, 15, 30)),
        ("3d", datetime(2026, 11, 27, 9, 15, 30), datetime(2026, 11, 27, 9, 15, 30)),
    ],
)  # fmt: skip
def test_times_as_people_write_them(text: str, begin: datetime, end: datetime) -> None:
    assert stretch(text, NOW) == (begin.timestamp(), end.timestamp())


@pytest.mark.parametrize(
    "text", ["", "x", "25:00", "2026-02-30", "2026-1-1T1:1", "mo", "99999999d", "0000-01-01"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ResultsError, match=r"no time: .*; known are "):
        stretch(text, NOW)


def test_time_terms(results: Path) -> None:
    made(results, 1)
    day = datetime.fromtimestamp(BEGIN)
    for query in (
        f"time={day:%Y-%m-%d}",
        f"time={day:%Y-%m}",
        f"since={day:%Y-%m-%d} until={day:%Y-%m-%d}",
        "since=9000d",
        f"time={day:%Y-%m-%d}..",
        f"time=..{day:%Y-%m-%d}",
        f"time>{day:%Y-%m-%d}T09:30",
    ):
        assert len(find(query)) == 1, query


def test_the_cost_of_a_pattern_is_bounded(results: Path) -> None:
    made(results, 1, arguments={"text": "a" * 999})
    assert not find("text=*a*a*b")
    with pytest.raises(QueryError, match="at most three"):
        find("text=*a*a*a*a*b")
    assert os.path.exists(results / ".index.sqlite")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a program cannot be changed")
def test_the_hours_of_a_clock_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        first = datetime(2026, 10, 25, 2, 30).timestamp()
        assert stretch("2026-10-25T02:30", NOW) == (first, first + 3660)
        assert stretch("2026-10-25", NOW) == (first - 9000, first - 9000 + 25 * 3600)
        morning = datetime(2026, 10, 25, 4, 30)
        assert stretch("2h", morning) == (first + 3600, first + 3600)
        skipped = stretch("2026-03-29T02:30", NOW)
        assert 0 <= skipped.end - skipped.begin <= 60
    finally:
        monkeypatch.undo()
        time.tzset()
