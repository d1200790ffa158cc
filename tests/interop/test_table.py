"""The compatibility table counts what ran because of the peer, and failures are in it."""

from pathlib import Path

from tests.interop.table import BEGIN, END, ROWS, Peer, Row, cell, outcomes, table, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "compatibility.md"
REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.cli.test_run" name="test_a"/>
<testcase classname="tests.cli.test_run" name="test_b"><failure message="x"/></testcase>
<testcase classname="tests.cli.test_run" name="test_c"><skipped message="x"/></testcase>
<testcase classname="tests.cli.test_run_bad_input" name="test_d"/>
<testcase classname="tests.remote.test_matrix" name="test_e[peer]"/>
</testsuite></testsuites>"""


def test_what_passed_and_failed_is_counted_and_what_was_skipped_is_not() -> None:
    found = outcomes(REPORT)
    assert found["tests.cli.test_run::test_b"] == "failed"
    row = Row("run", ("artiq",), ("tests/cli/test_run.py",))
    assert cell(row, "artiq", found) == "1 passed, 1 failed"
    assert cell(row, "library", found) == ""
    other = Row("remote", ("library",), ("tests/remote/test_matrix.py", "tests/remote/test_x.py"))
    assert cell(other, "library", found) == "1 passed"
    assert cell(Row("x", ("library",), ("tests/x.py",)), "library", found) == "—"


def test_every_file_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    assert all((root / file).is_file() for row in ROWS for file in row.files)


def test_the_table_replaces_the_one_of_the_page() -> None:
    text = table([Peer("artiq", "9", "python")], [outcomes(REPORT)])
    assert text.splitlines()[0].endswith("| ARTIQ 9 |")
    assert len(text.splitlines()) == 2 + len(ROWS)
    page = written(f"# Page\n{BEGIN}\nold\n{END}\nend\n", text)
    assert page == f"# Page\n{BEGIN}\n\n{text}\n\n{END}\nend\n"
    assert written(page, text) == page


def test_the_page_has_a_column_for_each_release() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert BEGIN in page
    assert END in page
    head = page.partition(BEGIN)[2].partition("| --- |")[0]
    for title in ("library 1.9", "library 1.10", "ARTIQ 7", "ARTIQ 8", "ARTIQ 9"):
        assert f"| {title} |" in head
