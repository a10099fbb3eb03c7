"""Every block of code in the documentation does what it shows.

A block is one of these, anything else fails:

* a doctest, also in a docstring; ELLIPSIS is on;
* ``.. literalinclude::`` of an example that another test runs, or of a test;
* ``.. code-block:: console``: ``$ command``, or ``# command`` for root, and what it prints on
  standard output and standard error together; ``...`` as in a doctest;
* ``.. code-block:: python``, in README.rst only, which PyPI shows without the files beside it;
* ``.. code-block:: text``, which is no code: what another program prints, a format, a picture.

The doctests of a page share a namespace and a process, a fork of this one; so do those of
README.rst with its Python. Comments, alone in a paragraph, say where that is not enough:

* ``.. new process``: what follows starts anew;
* ``.. needs root``, ``.. needs user``: this process can only be shown as root, or as an ordinary
  user. Without either it is shown as both;
* ``.. needs interpreter``: it executes Python, or imports on its way, and Python may be in a folder
  that only root can read;
* ``.. needs pyseccomp``: as it says; MODULES has all such names.

An ordinary user may be unable to read the library: what the doctests of a page import is imported
before they run.
"""

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
import textwrap
import threading
import traceback
from dataclasses import dataclass, field

import pytest
import support
from support import ROOT, SOURCES, in_child

import prctl

DOCUMENTS = sorted([*SOURCES.glob("*.rst"), *SOURCES.glob("docs/**/*.rst")])

# Commands that are shown and not run, by their first word.
NOT_RUN = {
    "pip": "installs",
    "apt-get": "installs",
    "dnf": "installs",
    "apk": "installs",
    "git": "asks another machine",
    "./dev": "installs, and runs these tests",
}

MODULES = {"pyseccomp"}  # what a process may need besides a user

# What an emulator of user processes may lack: see tests/kernel.c.
FEATURES = {
    "docs/capabilities.rst": ["file capabilities"],
    "docs/children.rst": ["subreaper"],
    "docs/command.rst": ["threads of a child"],
    "docs/from-python-prctl.rst": ["command line"],
    "docs/from-setproctitle.rst": ["command line"],
    "docs/names.rst": ["command line"],
    "docs/seccomp.rst": ["seccomp filters"],
}

CHECKER = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS


# ---- What is on a page


@dataclass
class Block:
    kind: str  # what stands between ".." and "::", with the language or the file
    line: int
    text: str


@dataclass
class Process:
    """What shares a process: a page, or the part of it up to the next ".. new process"."""

    page: str
    line: int
    lines: list = field(repr=False)  # as on the page where this process has doctests, else empty
    needs: list = field(default_factory=list)
    blocks: list = field(default_factory=list, repr=False)

    @property
    def name(self):
        return f"{self.page}:{self.line}"

    @property
    def has_python(self):
        return any(">>> " in line for line in self.lines) or any(
            block.kind == "code-block python" for block in self.blocks
        )


DIRECTIVE = re.compile(r"([ *-]*)\.\. ([\w-]+)::(.*)")  # also in a list, or in a table of lists
WITH_CODE = "code", "code-block", "sourcecode", "parsed-literal", "literalinclude", "testcode"
MARK = re.compile(r"\.\. (new process|needs (\w+))")


def read_page(page, text):
    """The processes of a page."""
    lines = text.expandtabs().splitlines()
    process = Process(page, 1, [""] * len(lines))
    processes = [process]
    at = 0
    while at < len(lines):
        line, end = lines[at], at + 1
        directive, mark = DIRECTIVE.match(line), MARK.fullmatch(line.strip())
        if mark and mark[2]:
            process.needs.append(mark[2])
        elif mark:
            process = Process(page, at + 1, [""] * len(lines))
            processes.append(process)
        elif directive and directive[2] in WITH_CODE:
            end = end_of_block(lines, at, len(directive[1]))
            kind = f"{directive[2]} {directive[3].strip()}".strip()
            process.blocks.append(Block(kind, at + 1, body(lines[at + 1 : end])))
        elif line.endswith("::") and not directive and not line.lstrip().startswith(".. "):
            end = end_of_block(lines, at, indentation(line))
            process.blocks.append(Block("::", at + 1, body(lines[at + 1 : end])))
        elif line.lstrip().startswith(">>> "):
            while end < len(lines) and lines[end].strip():
                end += 1
            process.lines[at:end] = lines[at:end]
            if "+SKIP" in "".join(lines[at:end]):
                process.blocks.append(Block("doctest +SKIP", at + 1, line))
        elif ">>> " in line:
            process.blocks.append(Block(">>>", at + 1, line))
        at = end
    return processes


def end_of_block(lines, at, margin):
    """Where what is indented deeper than the margin ends, after a line."""
    at += 1
    while at < len(lines) and (not lines[at].strip() or indentation(lines[at]) > margin):
        at += 1
    return at


def indentation(line):
    return len(line) - len(line.lstrip())


def body(lines):
    """The text of a block, without the options of its directive."""
    while lines and (not lines[0].strip() or re.match(r" *:[\w-]+:", lines[0])):
        lines = lines[1:]
    return textwrap.dedent("\n".join(lines)).strip("\n") + "\n"


def pages():
    """The name and the text of everything that may have code in it."""
    for path in DOCUMENTS:
        yield str(path.relative_to(SOURCES)), path.read_text()
    for name in dir(prctl):
        value = getattr(prctl, name)
        ours = getattr(value, "__module__", "").lstrip("_").startswith("prctl")
        if name[0] != "_" and ours and callable(value):
            yield f"prctl.{name}", inspect.getdoc(value)
            for member, method in getattr(value, "__dict__", {}).items():
                if member[0] != "_" and method.__doc__:
                    yield f"prctl.{name}.{member}", inspect.getdoc(method)


PROCESSES = [process for page, text in pages() for process in read_page(page, text)]


def blocks(*kinds):
    """The parameters of a test: the process and each of its blocks of those kinds."""
    return [
        pytest.param(process, block, id=f"{process.page}:{block.line}")
        for process in PROCESSES
        for block in process.blocks
        if block.kind.startswith(kinds)
    ]


# ---- Where it is shown


def check_needs(process, user):
    """Skip unless the process can be shown here, to an ordinary user or not."""
    support.needs_features(*FEATURES.get(process.page, []))
    if "root" in process.needs and not ROOT:
        pytest.skip("needs root, and the suite runs as an ordinary user")
    if "interpreter" in process.needs and not in_child(may_execute_python, user=user):
        pytest.skip(f"an ordinary user may not execute {sys.executable}")
    for module in MODULES.intersection(process.needs):
        try:
            importlib.import_module(module)
        except (ImportError, RuntimeError) as error:  # pyseccomp without libseccomp
            pytest.skip(f"no {module} here: {error}")


def may_execute_python():
    return os.access(sys.executable, os.X_OK) and os.access(os.__file__, os.R_OK)


def ways():
    """Each process that has Python, as whom it can be shown: root, an ordinary user or both.

    An ordinary user's suite is told of those that need root, and skips them.
    """
    for process in PROCESSES:
        if process.has_python:
            for who, other in (("root", "user"), ("user", "root")):
                if other not in process.needs and (ROOT or who == "user" or who in process.needs):
                    yield pytest.param(process, who == "user", id=f"{process.name}-{who}")


def import_beforehand(process):
    for example in doctest.DocTestParser().get_examples("\n".join(process.lines) + "\n"):
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.ImportFrom):
                importlib.import_module(node.module)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


def let_join_wait_for_the_end():
    """Before CPython 3.13 it returns a moment before the thread has ended.

    Where that thread has dropped what another needs to change the ids, glibc aborts the process.
    """
    join = threading.Thread.join

    def join_and_wait(thread, timeout=None):
        join(thread, timeout)
        task = f"/proc/self/task/{thread.native_id}"
        assert thread.is_alive() or support.in_time(lambda: not os.path.exists(task))

    threading.Thread.join = join_and_wait


def show_python(process):
    """Run the doctests of a process and its blocks of Python; what is wrong, as a text."""
    prctl.set_dumpable(True)  # as exec would after the change of user
    let_join_wait_for_the_end()
    names = {"__name__": "__main__"}
    if process.page.startswith("prctl."):  # a docstring need not say what it belongs to
        names["prctl"] = prctl
    complaints = []
    for block in process.blocks:
        if block.kind == "code-block python":
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(block.text, process.page, "exec"), names)
            except Exception:
                complaints.append(traceback.format_exc())
    text = "\n".join(process.lines) + "\n"
    test = doctest.DocTestParser().get_doctest(text, names, process.page, process.page, 0)
    doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(test, out=complaints.append)
    return "".join(complaints)


# ---- The tests


@pytest.mark.parametrize(("process", "user"), list(ways()))
def test_python_does_what_the_page_shows(process, user):
    check_needs(process, user)
    import_beforehand(process)
    assert prctl.Popen  # holds the launcher, which an ordinary user may be unable to reach
    complaints = in_child(show_python, process, user=user)
    assert not complaints, complaints


@pytest.mark.parametrize(("process", "block"), blocks("code-block console"))
def test_commands_print_what_the_page_shows(process, block):
    check_needs(process, "user" in process.needs)
    commands = list(read_commands(block))
    if not ROOT and any(prompt == "#" for prompt, _, _ in commands):
        pytest.skip("needs root, and the suite runs as an ordinary user")
    for _, command, expected in commands:
        if command.split()[0] in NOT_RUN:
            assert not expected.strip(), "what is not run prints nothing here"
        else:
            assert expected.strip() != "...", "any output at all would do"
            printed = in_child(output_of, command, user="user" in process.needs)
            as_shown = CHECKER.check_output(expected.strip("\n"), printed.strip("\n"), FLAGS)
            assert as_shown, f"{command}\n{printed}"


def read_commands(block):
    """The prompt, the command and the output of each command of a block."""
    prompt = r"^([$#]) ((?:.*\\\n)*.*)\n"
    before, *rest = re.split(prompt, block.text, flags=re.MULTILINE)
    assert not before, f"line {block.line}: no command before {before!r}"
    return zip(*[iter(rest)] * 3, strict=True)


def output_of(command):
    # The interpreter of the tests is what "python" stands for.
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=SOURCES,
        env=os.environ | {"PATH": path},
        check=False,
    )
    return done.stdout.expandtabs()  # as the page is read


@pytest.mark.parametrize(("process", "block"), blocks("literalinclude"))
def test_what_is_included_is_run_by_a_test(process, block):
    name = block.kind.split()[1]
    path = (SOURCES / process.page).parent.joinpath(name).resolve()
    assert path.is_file()
    tests = SOURCES / "tests"
    if path.parent != tests:
        assert path.is_relative_to(SOURCES / "examples")
        mentions = (
            value.endswith(path.name)
            for test in tests.glob("test_*.py")
            for value in strings(ast.parse(test.read_text()))
        )
        assert any(mentions), f"no test runs {path.name}"


def strings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


KINDS = "code-block console", "code-block text"


@pytest.mark.parametrize("page", sorted({process.page for process in PROCESSES if process.blocks}))
def test_every_block_is_of_a_known_kind(page):
    known = (*KINDS, "code-block python") if page == "README.rst" else KINDS
    unknown = [
        f"line {block.line}: {block.kind}"
        for process in PROCESSES
        for block in process.blocks
        if process.page == page
        if block.kind not in known and not block.kind.startswith("literalinclude ")
    ]
    assert not unknown


@pytest.mark.parametrize(
    "process", [process for process in PROCESSES if process.needs], ids=lambda process: process.name
)
def test_every_need_is_known(process):
    assert {*process.needs} <= {"root", "user", "interpreter"} | MODULES
    assert not {"root", "user"} <= {*process.needs}


@pytest.mark.parametrize(("process", "block"), blocks("code-block text"))
def test_what_is_called_text_is_no_code(process, block):
    assert not re.search(r"^\s*(>>> |[$#] |import |from \w+ import )", block.text, re.MULTILINE)
