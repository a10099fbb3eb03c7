"""Tables that nobody has to keep: of constants, capabilities, securebits, and options of prctl(2).

Names and numbers come from the installed module; what only the option table knows, from the table
itself, src/options.h, which the C preprocessor turns into tuples of Python.
"""

import ast
import json
import os
import re
import shlex
import subprocess
from collections import namedtuple
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

import _prctl
import prctl


class Table(SphinxDirective):
    """A table whose cells are reST, or lists of nodes; subclasses say what is in it."""

    def table(self, kind, heads, rows):
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in heads), cols=len(heads))
        group += nodes.thead("", self.row(heads))
        group += nodes.tbody("", *map(self.row, rows))
        return nodes.table("", group, classes=["generated", *kind.split()])

    def row(self, cells):
        return nodes.row("", *(nodes.entry("", *self.parsed(cell)) for cell in cells))

    def parsed(self, cell):
        return self.parse_text_to_nodes(cell) if isinstance(cell, str) else cell

    def target(self, full_name, kind, shown=None):
        """A name of the module that can be referred to, searched for, and is in the index."""
        name = full_name.removeprefix("prctl.")
        found = nodes.literal("", shown or name, ids=[full_name])
        self.env.domains.python_domain.note_object(full_name, kind, full_name)
        self.state.document.note_explicit_target(found)
        index = addnodes.index(entries=[("single", f"{name} (in prctl)", full_name, "", None)])
        return nodes.paragraph("", "", index, found)


def number(value):
    return str(value) if value < 10 else hex(value)


class Constants(Table):
    """The constants that begin with one of the given words, with their values."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        rows = []
        for prefix in self.arguments[0].split():
            names = [name for name in prctl.__all__ if name.startswith(prefix)]
            if not names:
                raise self.error(f"no constant begins with {prefix}")
            for name in names:
                value = number(getattr(prctl, name))
                rows.append([[self.target(f"prctl.{name}", "data")], f"``{value}``"])
        return [self.table("constants", ["Constant", "Value"], rows)]


class Bits(Table):
    """A row for each bit of a mask, which has an attribute of a class and a constant."""

    def rows(self, owner, prefix, bits):
        for name, value, text in bits:
            attribute = self.target(f"prctl.{owner}.{name}", "attribute", name)
            constant = self.target(f"prctl.{prefix}{name.upper()}", "data")
            constant += nodes.Text(f", {value}")
            yield [attribute, constant], text


class CapabilityTable(Bits):
    """Each capability with what it allows."""

    def run(self):
        texts = _prctl._CAPABILITY_TEXTS
        bits = [*zip(_prctl._CAPABILITY_NAMES, range(len(texts)), texts, strict=False)]
        bits.append(("last_cap", "the kernel's", "The last one that the kernel has."))
        rows = self.rows("CapabilitySet", "CAP_", bits)
        return [self.table("stacked", ["Attribute and constant", "What it allows"], rows)]


class SecurebitTable(Bits):
    """Each securebit with its lock, and what they mean."""

    def run(self):
        bits = [(name, number(bit), text) for name, bit, text in prctl._securebit_rows()]
        rows = self.rows("Securebits", "SECBIT_", bits)
        return [self.table("stacked", ["Attribute and constant", "What it means"], rows)]


# The option table. Its rows are written as tuples of Python by macros of their own.

Row = namedtuple("Row", "option number function privilege scope since text")

_MACROS = """
#define NEEDS(capability, text) text
#define NEEDS_OR_EACCES(capability, text) text
#define NO_PRIVILEGE ""
#define FAMILY(name, number) ("PR_" #name, number),
#define ROW(option, number, name, signature, arity, run, takes, result, privilege, scope, ...) \\
    ("PR_" #option, number, #name, privilege, #scope, __VA_ARGS__),
#define OPTION(option, number, ...) ROW(option, number, __VA_ARGS__)
#define OPERATION(option, ...) ROW(option, None, __VA_ARGS__)
#include "src/options.h"
"""


def option_table():
    """The rows of src/options.h, in the order of the numbers there."""
    done = subprocess.run(
        [*shlex.split(os.environ.get("CC", "gcc")), "-E", "-P", "-x", "c", "-I.", "-"],
        cwd=Path(__file__).parent.parent,
        input=_MACROS,
        capture_output=True,
        text=True,
        check=True,
    )
    families, rows = {}, []
    for option, value, *function in ast.literal_eval(f"[{done.stdout}]"):
        if function:
            rows.append(Row(option, families.get(option, value), *function))
        else:
            families[option] = value
    return rows


_SCOPES = {
    "THREAD": "thread",
    "EVERY_THREAD": "every thread",
    "PROCESS": "process",
    "ANY": "any process",
}


def is_everywhere(row):
    return ", on " not in row.since


class Options(Table):
    """The rows of the option table for every architecture, or for some only."""

    required_arguments = 1

    def run(self):
        (wanted,) = self.arguments
        rows = [
            self.cells(row)
            for row in option_table()
            if is_everywhere(row) == (wanted == "everywhere")
        ]
        return [
            self.table("options stacked", ["Function and option", "Linux", "Scope", "Needs"], rows)
        ]

    def cells(self, row):
        shown = row.number if row.number < 1000 else hex(row.number)
        shown = shown if row.number > 0 else "answered by the library"
        needs = [row.privilege[:1].upper() + row.privilege[1:]] if row.privilege else []
        needs += sorted(set(re.findall(r"CONFIG_\w+", row.text)))
        return (
            f":py:func:`~prctl.{row.function}`\n\n``{row.option}``, {shown}",
            row.since,
            _SCOPES[row.scope],
            "; ".join(needs),
        )


class Releases(Table):
    """What each release of Linux brought, the newest first."""

    def run(self):
        brought = {}
        for row in option_table():
            place = row.since.partition(", on ")[2].partition(";")[0]
            entry = f":py:func:`~prctl.{row.function}`" + (f" ({place})" if place else "")
            brought.setdefault(re.match(r"[\d.]+", row.since)[0], []).append(entry)
        newest_first = sorted(
            brought, key=lambda release: [*map(int, release.split("."))], reverse=True
        )
        rows = [(release, ", ".join(brought[release])) for release in newest_first]
        return [self.table("releases", ["Linux", "What it brought"], rows)]


# What kernels have answered: docs/kernels.json, which ./dev kernels --record writes.

_NOT_THERE = "\N{EN DASH}"
_FAMILIES = {"x86_64": "x86", "i686": "x86", "aarch64": "arm64", "s390x": "s390"}


def release(text):
    """The first two numbers of a release: Debian's patches do not add options."""
    return tuple(map(int, re.findall(r"\d+", text)[:2]))


def is_there(row, column):
    """Whether the option table says that a kernel has an option."""
    family, now = _FAMILIES[column["machine"]], release(column["release"])
    since, _, where = row.since.partition(", on ")
    if where and family not in re.findall(r"\w+", where.partition(";")[0]):
        later = re.search(rf"on {family} since ([\d.]+)", where)
        return later is not None and release(later[1]) <= now
    until = re.search(r"until ([\d.]+)", where)
    return release(since) <= now and not (until and release(until[1]) <= now)


class Recorded(Table):
    def columns(self):
        path = Path(__file__).with_name("kernels.json")
        self.env.note_dependency(str(path))
        return json.loads(path.read_text())


class Columns(Recorded):
    """Which kernels were asked, where, and when."""

    def run(self):
        rows = [
            (
                column["release"],
                column["machine"],
                column["place"],
                ", ".join(f"CAP_{name.upper()}" for name in column["lacking"]) or "nothing",
                column["date"],
            )
            for column in self.columns()
        ]
        heads = ["Linux", "Machine", "Where", "What root lacked", "When"]
        return [self.table("kernels", heads, rows)]


class Answers(Recorded):
    """What each kernel answered to each call; calls that none of them can have are left out."""

    def run(self):
        columns, rows = self.columns(), []
        asked = {}
        for call in columns[-1]["answers"]:
            asked.setdefault(call.partition("(")[0], []).append(call)
        for row in option_table():
            if row.function not in asked:
                raise self.error(f"probe.py does not ask for {row.function}")
            for call in asked[row.function]:
                answers = [self.answer(row, column, call) for column in columns]
                if set(answers) != {_NOT_THERE}:
                    rows.append([f":py:func:`{call} <prctl.{row.function}>`", *answers])
        heads = ["{}.{} {}".format(*release(each["release"]), each["machine"]) for each in columns]
        return [self.table("answers", ["Call", *heads], rows)]

    def answer(self, row, column, call):
        answer = column["answers"].get(call, "not asked")
        there = is_there(row, column)
        if answer == "yes" and not there:
            raise self.error(f"{column['release']} has {row.function}, since {row.since}")
        return _NOT_THERE if answer == "EINVAL" and not there else answer


def setup(app):
    app.add_directive("constants", Constants)
    app.add_directive("capabilities", CapabilityTable)
    app.add_directive("securebits", SecurebitTable)
    app.add_directive("options", Options)
    app.add_directive("releases", Releases)
    app.add_directive("recorded-kernels", Columns)
    app.add_directive("recorded-answers", Answers)
    app.add_css_file("tables.css")
    return {"parallel_read_safe": True}
