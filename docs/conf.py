"""Sphinx takes the docstrings from the installed module, which ./dev docs builds beforehand."""

import re
from importlib.metadata import version as installed_version

from sphinx.util import logging

import prctl

project = "prctl"
author = "the prctl authors"
copyright = f"2026 {author}"
release = version = installed_version("python-prctl")

extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "groupwise"
html_theme = "furo"
html_title = f"prctl {release}"
man_pages = [
    ("command", "prctl", "show what a process may do, run a command that may do less", [], 1)
]


def take_as_text(app, what, name, obj, options, lines):
    """Docstrings are written for help(), where CAP_ is a prefix and not a link to something."""
    lines[:] = [re.sub(r"_(?!\w)", r"\\_", line) for line in lines]


def check_complete(app, env):
    """Warn of a public name that is on no page: with -W, none can be forgotten."""
    documented = env.domains.python_domain.objects
    for name in prctl.__all__:
        if not isinstance(getattr(prctl, name), int | tuple) and f"prctl.{name}" not in documented:
            logging.getLogger(__name__).warning("prctl.%s is not documented", name)


def setup(app):
    app.connect("autodoc-process-docstring", take_as_text)
    app.connect("env-check-consistency", check_complete)
