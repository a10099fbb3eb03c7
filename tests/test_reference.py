"""Every public name is on a page of the API reference, which lists them by hand.

(Sphinx's automodule passes over builtins in silence. ./dev docs looks at the built pages besides.)
"""

import collections
import re

import pytest
import support

import _prctl
import prctl

PAGES = support.SOURCES / "docs" / "reference"

DIRECTIVE = re.compile(r"^\.\. (autofunction|autoclass|py:data|constants):: (.+)$", re.M)


def names_on(page):
    """What the directives of a page document."""
    text = page.read_text()
    for kind, argument in DIRECTIVE.findall(text):
        if kind == "constants":
            for beginning in argument.split():
                yield from [name for name in prctl.__all__ if name.startswith(beginning)]
        else:
            yield argument.partition("(")[0]
    if "\n.. capabilities::\n" in text:
        with_text = *prctl._NAMES[: len(_prctl._CAPABILITY_TEXTS)], "last_cap"
        yield from [f"CAP_{name.upper()}" for name in with_text]
    if "\n.. securebits::\n" in text:
        yield from [f"SECBIT_{name.upper()}" for name, _, _ in prctl._securebit_rows()]


DOCUMENTED = collections.Counter(name for page in PAGES.glob("*.rst") for name in names_on(page))


@pytest.mark.parametrize("name", prctl.__all__)
def test_a_public_name_is_on_one_page(name):
    assert DOCUMENTED[name] == 1


def test_the_pages_document_nothing_else():
    assert DOCUMENTED.keys() - {*prctl.__all__} == {"prctl", "CapabilitySet", "Securebits"}


@pytest.mark.parametrize("page", [page.stem for page in PAGES.glob("*.rst")])
def test_a_page_of_the_reference_is_in_the_table_of_contents(page):
    contents = (PAGES.parent / "index.rst").read_text().split()
    assert f"reference/{page}" in contents
