"""Sphinx takes the docstrings from the installed module, which ./dev docs builds beforehand."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.util import logging

import prctl

sys.path.insert(0, str(Path(__file__).parent))

project = "prctl"
author = "the prctl authors"
copyright = f"2026 {author}"
release = version = installed_version("python-prctl")

extensions = ["sphinx.ext.autodoc", "_tables", "_drawings"]
autodoc_member_order = "bysource"
manpages_url = "https://man7.org/linux/man-pages/man{section}/{page}.{section}.html"
html_theme = "furo"
html_title = f"prctl {release}"
man_pages = [
    ("command", "prctl", "show what a process may do, run a command that may do less", [], 1)
]
html_static_path = ["_static"]
html_css_files = ["page.css"]

# What reads as a link in a docstring that was written for help().
LINKS = re.compile(
    r"\b(?P<page>\w+\(\d\))|\b(?P<function>\w+)\(\)|\b(?P<constant>[A-Z][A-Z0-9_]+)\b(?!\*)"
)


def link(match):
    """A manual page, a function or a constant of this module as a link; anything else as it is."""
    if match["page"]:
        return f":manpage:`{match['page']}`"
    if match["function"] in prctl.__all__:
        return f":py:func:`~prctl.{match['function']}`"
    if match["constant"] in prctl.__all__:
        return f":py:data:`~prctl.{match['constant']}`"
    return match[0]


def take_as_text(app, what, name, obj, options, lines):
    """Docstrings are written for help(), where CAP_ is a prefix and not a link to something."""
    for place, line in enumerate(lines):
        pieces = re.split("(``.*?``)", re.sub(r"_(?!\w)", r"\\_", line))
        pieces[::2] = (LINKS.sub(link, piece) for piece in pieces[::2])
        lines[place] = "".join(pieces)


def skip_what_a_table_lists(app, what, name, obj, skip, options):
    """The attributes of CapabilitySet and Securebits, one for each bit, are in tables."""
    one_for_each_bit = vars(prctl.CapabilitySet) | vars(prctl.Securebits)
    return True if isinstance(obj, property) and one_for_each_bit.get(name) is obj else None


def check_complete(app, env):
    """Warn of a public name that is on no page: with -W, none can be forgotten."""
    documented = env.domains.python_domain.objects
    names = [*prctl.__all__, "prctl", "CapabilitySet", "Securebits"]
    for name in ("CapabilitySet", "Securebits", "Capabilities"):
        names += [f"{name}.{member}" for member in dir(getattr(prctl, name)) if member[0] != "_"]
    for name in names:
        if f"prctl.{name}" not in documented:
            logging.getLogger(__name__).warning("prctl.%s is not documented", name)


def setup(app):
    app.connect("autodoc-process-docstring", take_as_text)
    app.connect("autodoc-skip-member", skip_what_a_table_lists)
    app.connect("env-check-consistency", check_complete)
