"""The look at built pages finds what it looks for."""

from pathlib import Path

from tests.docs.built import problems


def test_lost_links_and_double_ids_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="sub/b.html#y"><a href="sub/b.html#z"><a href="c.html">'
    )
    (tmp_path / "sub" / "b.html").write_text(
        '<p id="y"><p id="y"><a href="../a.html#x"><a href="#n"><a href="https://x/#y">'
    )
    assert problems(tmp_path) == [
        "a.html: the link 'sub/b.html#z' leads nowhere",
        "a.html: the link 'c.html' leads nowhere",
        "sub/b.html: two elements have the id 'y'",
        "sub/b.html: the link '#n' leads nowhere",
    ]


def test_signatures_that_show_internals_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<dl><dt class=\"sig sig-object py\">f(<em>a</em> = &lt;class 'x.Y'&gt;)</dt><dd>x = &lt;class</dd>"
        '<dt class="sig sig-object py">g(<em>*args</em>: ~P)</dt><dt class="sig sig-object py">h(a=...)</dt></dl>'
    )
    assert problems(tmp_path) == [
        "a.html: the signature \"f(a = <class 'x.Y'>)\" shows internals",
        "a.html: the signature 'g(*args: ~P)' shows internals",
    ]
