"""Draws the architecture: from a line in device_db.py to a function beside the instrument, to a result file."""

from html import escape

WIDTH, HEIGHT = 980, 470

STYLE = """
text { font-family: 'DejaVu Sans', Helvetica, Arial, sans-serif; font-size: 13px; fill: #24292f; }
.title { font-size: 14px; font-weight: bold; }
.code { font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 12px; }
.note { fill: #57606a; font-size: 12px; }
.box { fill: #ffffff; stroke: #57606a; stroke-width: 1.2; }
.ours { fill: #ddf4ff; stroke: #0969da; }
.yours { fill: #fff8c5; stroke: #9a6700; }
.kept { fill: #dafbe1; stroke: #1a7f37; }
.machine { fill: #f6f8fa; stroke: #d0d7de; stroke-dasharray: 5 4; }
.arrow { stroke: #24292f; stroke-width: 1.6; fill: none; marker-end: url(#head); }
.thick { stroke-width: 6; stroke: #9a6700; marker-end: url(#thick-head); }
"""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    """Return a line of text."""
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str, title: str, *lines: str) -> str:
    """Return a box with a title and lines of text in its middle; a line that begins with "`" is code."""
    middle, top = x + width / 2, y + height / 2 - 9 * len(lines) + 5
    parts = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" class="box {kind}"/>']
    parts.append(text(middle, top, title, "title"))
    for number, line in enumerate(lines, start=1):
        parts.append(
            text(middle, top + 18 * number, line.lstrip("`"), "code" if line.startswith("`") else "note")
        )
    return "\n".join(parts)


def machine(x: float, y: float, width: float, height: float, name: str) -> str:
    """Return the outline of a machine."""
    outline = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" class="machine"/>'
    return outline + "\n" + text(x + 12, y + 20, name, "note", "start")


def arrow(
    path: str, label: str = "", at: tuple[float, float] = (0, 0), kind: str = "", anchor: str = "middle"
) -> str:
    """Return an arrow along a path, with a label."""
    return f'<path d="{path}" class="arrow {kind}"/>' + (
        "\n" + text(*at, label, "note", anchor) if label else ""
    )


def svg() -> str:
    """Return the picture."""
    parts = [
        machine(10, 10, 560, 320, "where experiments run"),
        machine(660, 10, 310, 320, "where the instrument is"),
        box(30, 50, 150, 70, "yours", "device_db.py", '`"rexec": …'),
        box(215, 50, 150, 70, "ours", "devicedb", "check, resolve"),
        box(400, 50, 150, 70, "ours", "rexec.devices", "a connected client"),
        arrow("M 180 85 H 212"),
        arrow("M 365 85 H 397"),
        box(
            215,
            170,
            335,
            90,
            "yours",
            "your experiment",
            "`there = self.rexec.function(fit)",
            "`self.append_to_dataset(…)",
        ),
        arrow("M 475 120 V 167", 'get_device("rexec")', (470, 148), anchor="end"),
        box(30, 170, 150, 90, "ours", "rexec run", "builds, runs, analyses", "--up starts controllers"),
        arrow("M 180 215 H 212"),
        box(680, 50, 270, 190, "", ""),
        text(815, 72, "controller", "title"),
        text(815, 90, "yours, ours, or the reference library's", "note"),
        box(700, 110, 100, 110, "yours", "your", "function"),
        box(855, 110, 75, 110, "", "driver"),
        arrow("M 855 140 H 812", kind="thick"),
        text(827, 165, "frames", "note"),
        text(827, 181, "614 kB", "note"),
        text(827, 197, "each", "note"),
        box(835, 262, 115, 58, "", "instrument"),
        arrow("M 892 262 V 223"),
        box(680, 262, 125, 58, "ours", "rexec up", "keeps it running"),
        arrow("M 742 262 V 243"),
        arrow("M 550 185 H 697", "source, once", (615, 177)),
        arrow("M 700 210 H 553", "the fit: 1 kB", (615, 228)),
        box(215, 370, 110, 70, "ours", "datasets"),
        box(385, 370, 120, 70, "kept", "journal", "written first"),
        box(565, 370, 150, 70, "kept", "results/…/….h5", "ARTIQ's layout"),
        box(30, 370, 130, 70, "", "viewers", "sync_struct"),
        box(800, 370, 150, 70, "", "h5py, xarray", "ARTIQ's browser"),
        arrow("M 270 260 V 367"),
        arrow("M 325 405 H 382"),
        arrow("M 505 405 H 562"),
        arrow("M 715 405 H 797"),
        arrow("M 215 405 H 163"),
    ]
    body = "\n".join(parts)
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="{size}" markerHeight="{size}" '
        f'orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="{colour}"/></marker>'
        for name, size, colour in (("head", 7, "#24292f"), ("thick-head", 3, "#9a6700"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f"<title>From device_db.py to a function beside the instrument, to a result file</title>\n"
        f'<style>{STYLE}</style>\n<defs>{heads}</defs>\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        f"{body}\n</svg>\n"
    )
