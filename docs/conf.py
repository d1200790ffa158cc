"""Sphinx configuration: MyST pages by purpose (tutorial, how-to, explanation, reference)."""

from rexec import __version__

project = "artiq-rexec"
author = "the artiq-rexec authors"
copyright = "2026, the artiq-rexec authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxarg.ext",  # the command line reference, from the parsers themselves
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"artiq-rexec {__version__}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
default_role = "literal"  # docstrings write names in single backticks
suppress_warnings = ["myst.domains"]  # of sphinx-argparse, which has no references to resolve
