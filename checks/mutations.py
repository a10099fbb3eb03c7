"""Change one check of the library at a time: some test has to notice.

    mutations.py [--jobs N] [--list] [--again] [FILE | FILE:FUNCTION]...

A mutant is the library with one condition that never holds or always does, one half of an && or ||
left out, one boundary moved by 1, one result turned round, or one row of src/options.h loosened.
The first run finds out, with all mutants compiled in and asleep, which test comes by which of them;
then each mutant is built and meets those tests, the quickest first. In C it also meets the failures
of checks/faults that happen in its function, or in what that calls. What nothing notices is listed
in build/mutants/report: "unreached" is what no test comes by, at least not in the case that would
make a difference. What nobody can notice is in equivalent.py.

What has become of each mutant is kept in build/mutants/results, so that a run may be cut: the next
one goes on. --again tries those once more that nothing has noticed, and takes every test for it.
Tests that are newer than the first run are always tried.

Reading beyond an array is not looked for here: another check is about that.
"""

import argparse
import ast
import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import tree_sitter
import tree_sitter_c
from equivalent import EQUIVALENT

import prctl

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build" / "mutants"
EXTENSION = [
    "src/plan.c",
    "src/sets.c",
    "src/threads.c",
    "src/convert.c",
    "src/capability.c",
    "_prctlmodule.c",
    "src/proctitle.c",
    "src/memory.c",
    "src/audit.c",
    "src/process.c",
]

MODULES = [
    "prctl.py",
    "_prctl_operations.py",
    "_prctl_capabilities.py",
    "_prctl_children.py",
    "_prctl_cli.py",
]

FAILING = [*EXTENSION, "src/launcher.c"]  # where checks/faults makes calls fail

# For what has no reach(): the test files, the likeliest first.
OPTIONS = ["test_options", "test_new_options", "test_memory", "test_dispatch"]
TESTS = {
    "src/launcher.c": ["test_launcher", "test_children", "test_command"],
    "src/options.h": ["test_audit", "test_strace", *OPTIONS, "test_threads", "test_bad_input"],
}
SECONDS = 15  # of tests, at most, that a mutant meets after the first few; but see --again
PYTEST = ["pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "reach"]
PYTEST += ["--ignore", "tests/test_references.py"]  # thousands of calls each, about leaks alone
SLOW = 4  # seconds of a single test from which on it is left out
PATIENCE = 200  # seconds until a mutant counts as one that hangs


@dataclasses.dataclass(frozen=True)
class Mutant:
    """before and after go around the text from start to end; M in them is 1 in the mutant."""

    file: str
    line: int
    function: str
    text: str
    change: str
    start: int
    end: int
    before: str
    after: str
    ordinal: int = 1  # of those in a function that read the same

    def __str__(self):
        return f"{self.file}:{self.line} {self.function}: {self.text} [{self.change}]"

    @property
    def name(self):
        number = f" #{self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.file} {self.function}: {self.text} [{self.change}]{number}"


# ---- What can be changed in C

RELATIONS = {"<": "right", ">=": "right", "<=": "left", ">": "left"}
LOGICAL = ("&&", "||")
ENDS_IN_ERROR = re.compile(r"return .*(-1|NULL|refused|raise_)|goto")
# Constants that tell: an error swallowed, or an answer turned round.
RETURNED = {"-1": "0", "0": "1", "1": "0"}


class C:
    def __init__(self, file):
        self.file, self.source = file, (TOP / file).read_bytes()
        self.found, self.function = [], ""
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))
        self.walk(parser.parse(self.source).root_node)

    def text(self, node):
        return " ".join(node.text.decode().split())

    def add(self, node, change, before, after, shown=None):
        self.found.append(
            Mutant(
                self.file,
                node.start_point[0] + 1,
                self.function,
                self.text(shown or node),
                change,
                node.start_byte,
                node.end_byte,
                before,
                after,
            )
        )

    def never(self, node):
        self.add(node, "never", "((", ") && !M)")

    def always(self, node):
        self.add(node, "always", "((", ") || M)")

    def walk(self, node):
        if node.type == "function_definition":
            declarator = node.child_by_field_name("declarator")
            while declarator.type != "identifier":
                declarator = declarator.child_by_field_name("declarator")
            self.function = declarator.text.decode()
        if self.function and (look := getattr(self, f"at_{node.type}", None)):
            look(node)
        for child in node.children:
            if child.type not in ("initializer_list", "sizeof_expression"):
                self.walk(child)
        if node.type == "function_definition":
            self.function = ""

    def at_if_statement(self, node):
        condition = node.child_by_field_name("condition").named_children[0]
        self.never(condition)
        if not ENDS_IN_ERROR.search(self.text(node.child_by_field_name("consequence"))):
            self.always(condition)

    def at_while_statement(self, node):
        self.never(node.child_by_field_name("condition").named_children[0])

    def at_conditional_expression(self, node):
        condition = node.child_by_field_name("condition")
        self.never(condition)
        self.always(condition)

    def at_binary_expression(self, node):
        operator = node.child_by_field_name("operator").type
        sides = {side: node.child_by_field_name(side) for side in ("left", "right")}
        if operator in LOGICAL:
            for side in sides.values():
                inner = side.child_by_field_name("operator")
                if side.type == "binary_expression" and inner.type == operator:
                    continue  # its own halves are looked at
                (self.always if operator == "&&" else self.never)(side)
        elif operator in RELATIONS and not self.is_usual(node, operator, sides["right"]):
            self.add(sides[RELATIONS[operator]], "boundary", "((", ") + M)", shown=node)

    def is_usual(self, node, operator, right):
        """A loop's own count, and < 0: what could it move to."""
        return node.parent.type == "for_statement" or (operator == "<" and right.text == b"0")

    def at_return_statement(self, node):
        value = node.named_children[0] if node.named_children else None
        while value is not None and value.type == "comma_expression":
            value = value.child_by_field_name("right")
        if value is None:
            return
        if (other := RETURNED.get(self.text(value))) is not None:
            self.add(value, f"returns {other}", f"(M ? {other} : ", ")", shown=node)
        elif value.type == "binary_expression" and value.child_by_field_name("operator").type in (
            *LOGICAL,
            *RELATIONS,
            "==",
            "!=",
        ):
            self.never(value)
            self.always(value)


# ---- In the table of options

ROW = re.compile(
    r"^OP[A-Z]+\((?:[A-Z_]+, )(?:\d+, )?(?P<name>\w+),.*?(?=^OP|^/\*|^#|\Z)", re.M | re.S
)
LOOSER = {
    r"\bEVERY_THREAD\b": [("this thread only", "THREAD")],
    r"\bNEEDS(_OR_EACCES)?\([^\n]*?\)(?=,)": [("no privilege", "NO_PRIVILEGE")],
    r"\bONE_OF2\((\w+), (\w+), (\w+)\)": [
        ("without 1", r"ONE_OF2(\1, \3, \3)"),
        ("without 2", r"ONE_OF2(\1, \2, \2)"),
    ],
    r"\bONE_OF3\((\w+), (\w+), (\w+), (\w+)\)": [
        ("without 1", r"ONE_OF3(\1, \3, \3, \4)"),
        ("without 2", r"ONE_OF3(\1, \2, \2, \4)"),
        ("without 3", r"ONE_OF3(\1, \2, \3, \3)"),
    ],
    r"\bBITS\((\w+), ([^\"]*),\s+(?=\")": [
        ("a bit more", r"BITS(\1, (\2) + 1 + ((\2) & -(\2)) / 2, "),
        ("a bit less", r"BITS(\1, (\2) & ((\2) - 1), "),
    ],
    r"\bNOTHING,": [("no event", "RETURNS_BOOL,")],
    r"\bFLAG\((\w+)\)": [("any number", r"WORD(\1)")],
    r"\bSIGNAL\((\w+)\)": [("any number", r"WORD(\1)")],
    r"\bPID\((\w+)\)": [("any number", r"WORD(\1)")],
    r"\bUNSIGNED_32\((\w+)\)": [("any number", r"WORD(\1)")],
    r"\bCAPABILITY_NUMBER\((\w+)\)": [("any number", r"WORD(\1)")],
}


def rows(file):
    source = (TOP / file).read_text()
    for row in ROW.finditer(source):
        for pattern, changes in LOOSER.items():
            for match in re.finditer(pattern, row[0]):
                start = row.start() + match.start()
                for change, replacement in changes:
                    yield Mutant(
                        file,
                        source.count("\n", 0, start) + 1,
                        row["name"],
                        " ".join(match[0].split()),
                        change,
                        start,
                        start + len(match[0]),
                        match.expand(replacement) + " /*",
                        "*/",
                    )


# ---- In Python


class Python(ast.NodeVisitor):
    def __init__(self, file):
        self.file, self.source = file, (TOP / file).read_bytes()
        self.found, self.functions = [], []
        lines = self.source.splitlines(keepends=True)
        self.starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
        self.visit(ast.parse(self.source))

    def add(self, node, change, before, after, shown=None):
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[node.end_lineno - 1] + node.end_col_offset
        text = ast.unparse(shown or node)
        name = ".".join(self.functions)
        self.found.append(
            Mutant(self.file, node.lineno, name, text, change, start, end, before, after)
        )

    # While M is 0, the value is what it was: it may be more than a truth.
    def never(self, node):
        self.add(node, "never", "(lambda it: it and (False if M else it))(", ")")

    def always(self, node):
        self.add(node, "always", "(lambda it: it or (True if M else it))(", ")")

    def visit_FunctionDef(self, node):
        self.functions.append(node.name)
        self.generic_visit(node)
        self.functions.pop()

    visit_ClassDef = visit_FunctionDef

    def visit_If(self, node):
        self.never(node.test)
        if not isinstance(node.body[-1], ast.Raise):
            self.always(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.never(node.test)
        self.always(node.test)
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        for value in node.values:
            if not is_nothing(value):  # "or 0", which is false already
                (self.always if isinstance(node.op, ast.And) else self.never)(value)
        self.generic_visit(node)

    def visit_Compare(self, node):
        symbol = {ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=", ast.Gt: ">"}.get(type(node.ops[0]))
        if symbol and len(node.ops) == 1 and isinstance(node.comparators[0], ast.Constant):
            side = node.comparators[0] if RELATIONS[symbol] == "right" else node.left
            self.add(side, "boundary", "((", ") + M)", shown=node)
        self.generic_visit(node)


def is_nothing(node):
    try:
        return not ast.literal_eval(node)
    except ValueError:
        return False


def all_mutants():
    found = []
    for file in [*EXTENSION, "src/launcher.c"]:
        found += C(file).found
    found += rows("src/options.h")
    for file in MODULES:
        found += Python(file).found
    seen = collections.Counter()
    for place, mutant in enumerate(found):
        seen[mutant.name] += 1
        found[place] = dataclasses.replace(mutant, ordinal=seen[mutant.name])
    return found


# ---- Building


def changed(source, mutants):
    """The text with the mutants in it: (mutant, what M is) each."""
    pieces = []
    for order, (mutant, switch) in enumerate(mutants):
        before, after = (re.sub(r"\bM\b", switch, text) for text in (mutant.before, mutant.after))
        pieces.append((mutant.start, 1, -mutant.end, order, before))
        pieces.append((mutant.end, 0, -mutant.start, -order, after))
    result, place = b"", 0
    for position, *_, text in sorted(pieces):
        result += source[place:position] + text.encode()
        place = position
    return result + source[place:]


def compiler():
    return shlex.split(os.environ.get("CC") or "gcc")


def flags():
    version = re.search(r'^version = "(.*)"', (TOP / "pyproject.toml").read_text(), re.M)[1]
    return [
        "-w",
        "-O0",
        "-fPIC",
        "-fvisibility=hidden",
        f'-DPRCTL_VERSION="{version}"',
        "-DPy_LIMITED_API=0x030B0000",
        f"-I{sysconfig.get_path('include')}",
    ]


LAUNCHER = ["-nostdlib", "-static", "-no-pie", "-ffreestanding", "-fno-stack-protector"]


class Tree:
    """A copy of the sources, and an environment in which what is built of it is installed."""

    def __init__(self, name):
        self.folder = BUILD / name
        shutil.rmtree(self.folder, ignore_errors=True)
        venv = self.folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        self.python = self.folder / "venv/bin/python"
        (self.site,) = self.folder.glob("venv/lib/python*/site-packages")
        installed = pathlib.Path(prctl.__file__).parent
        (self.site / "others.pth").write_text(f"{installed}\n")
        for pattern in "*prctl*.py", "_prctl.*so", "_prctl_launcher":
            for file in installed.glob(pattern):
                shutil.copy2(file, self.site)
        shutil.copytree(installed / "prctl-stubs", self.site / "prctl-stubs")
        (self.extension,) = self.site.glob("_prctl.*so")
        self.clock = int(time.time())
        self.changed = self.changed_for_faults = None  # the file of the last mutant
        for file in [*TOP.glob("src/*"), *TOP.glob("*.py"), TOP / "_prctlmodule.c"]:
            self.write(file.relative_to(TOP), file.read_bytes())

    def write(self, file, content):
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def run(self, *command):
        line = [*compiler(), *map(str, command)]
        subprocess.run(line, check=True, cwd=self.folder, capture_output=True, text=True)

    def compile(self, file, *more):
        self.run(*flags(), *more, "-c", file, "-o", pathlib.Path(file).stem + ".o")

    def link(self, *more):
        objects = [pathlib.Path(file).stem + ".o" for file in EXTENSION]
        self.extension.unlink()  # a process of the last run may still have it mapped
        self.run("-shared", *more, *objects, "-o", self.extension, "-lcap", "-ldl")

    def build(self, *files):
        """Install the library with these files as they are now in the tree."""
        for file in files:
            if file.endswith(".py"):
                shutil.copy(self.folder / file, self.site)
                self.clock += 1  # a compiled one is known by this and the size
                os.utime(self.site / file, (self.clock, self.clock))
            elif file == "src/launcher.c":
                program = self.site / "_prctl_launcher"
                program.unlink()
                self.run("-w", "-O1", *LAUNCHER, file, "-o", program)
            else:
                self.compile("_prctlmodule.c" if file == "src/options.h" else file)
        if set(files) & {*EXTENSION, "src/options.h"}:
            self.link()

    def try_tests(self, job):
        """(what has become of the mutant, by which test)"""
        status, output = self.pytest(job)
        if status is None:
            return "hung", ""
        if status == 5:
            return "unreached", ""
        if status == 0:
            return "survived", ""
        failed = re.search(r"^(FAILED|ERROR) (\S+)", output, re.M)
        return "killed", failed[2] if failed else output[-200:]

    def try_failures(self, function):
        """(what has become of the mutant, by which failing call)"""
        files = {self.changed, self.changed_for_faults} - {None, *MODULES}
        self.changed_for_faults = self.changed
        status, output = self.faults("mutant", "usual", function, *files)
        said = output.rstrip().rpartition("\n")[2]
        if status is None:
            return "hung", "failures"
        if status == 0 and said in ("survived", "unreached"):
            return said, ""
        return "killed", f"failures: {said or status}"

    def faults(self, *arguments):
        """checks/faults with the sources that are in the tree: (its status, its output)."""
        return self.start([self.python, TOP / "checks/faults", *arguments], self.folder, PATIENCE)

    def pytest(self, job):
        """The outcome of a run of the tests: (what pytest says, its output)."""
        path = self.folder / "job.json"
        path.write_text(json.dumps(job))
        # What pytest itself has compiled is kept: else that would be half of the time.
        environment = os.environ | {
            "PRCTL_REACH": str(path),
            "PYTHONPATH": str(TOP / "checks"),
            "PYTHONPYCACHEPREFIX": str(BUILD / "compiled"),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [self.python, "-m", *PYTEST, *job.get("files", [])]
        return self.start(command, TOP, job.get("patience"), environment)

    def start(self, command, folder, patience, environment=None):
        """(its status, or None when it is not patient enough; its output)"""

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=limit,
        )
        try:
            output = process.communicate(timeout=patience)[0]
            status = process.returncode
        except subprocess.TimeoutExpired:
            output, status = "", None
        process.kill()
        process.wait()
        end_children()
        return status, output


def end_children():
    """Whatever the tests have left is this process's child by now: it is a subreaper."""
    while True:
        try:
            children = pathlib.Path("/proc/thread-self/children").read_text().split()
        except FileNotFoundError:
            return
        if not children:
            return
        for child in children:
            os.kill(int(child), signal.SIGKILL)
            os.waitpid(int(child), 0)


# ---- Which test comes by which mutant


def reach_map(mutants):
    """{test: [seconds, [numbers of mutants]]}, of those that pass, and the file that it is in."""
    state = repr(mutants)
    path = BUILD / f"reach-{hashlib.sha256(state.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return json.loads(path.read_text()), path
    print("finding out which test comes by which mutant", flush=True)
    tree = Tree("reach")
    numbered = collections.defaultdict(list)
    for number, mutant in enumerate(mutants):
        # Whoever embeds the interpreter has the folder, but no .pth file.
        function = "__import__('reached').reach" if mutant.file in MODULES else "reach"
        numbered[mutant.file].append((mutant, f"{function}({number})"))
    for file in MODULES:
        tree.write(file, changed((TOP / file).read_bytes(), numbered[file]))
    tree.build(*MODULES)
    for file in EXTENSION:
        tree.write(file, changed((TOP / file).read_bytes(), numbered[file]))
        tree.compile(file, "-include", TOP / "checks/reach.h")
    tree.run(*flags(), "-c", TOP / "checks/reach.c", "-o", "reach.o")
    tree.link("reach.o")
    shutil.copy(TOP / "checks/reach_modules.py", tree.site / "reached.py")
    (tree.site / "reached.pth").write_text("import reached\n")
    reached = tree.site / "reached"
    reached.write_bytes(bytes(65536))
    reached.chmod(0o666)
    status, output = tree.pytest({"record": str(path), "reached": str(reached)})
    print(output[-2000:], flush=True)
    if status not in (0, 1):
        path.unlink(missing_ok=True)
        sys.exit(f"the tests could not be run: {status}")
    return json.loads(path.read_text()), path


# ---- A mutant and its tests


def order(tests, durations):
    """The quickest first, but one of each function before the second of any."""
    seen = collections.Counter()

    def key(test):
        function = test.partition("[")[0]
        seen[function] += 1
        return seen[function], durations[test]

    return [
        test for _, test in sorted((key(test), test) for test in sorted(tests, key=durations.get))
    ]


def jobs_for(mutant, reaching, durations, new, most):
    """What to run: tests that the map does not know, a few of one file, failures, the others."""
    if new["files"]:
        yield new
    if mutant.file in TESTS:
        for name in TESTS[mutant.file]:
            yield {"files": [f"tests/{name}.py"], "patience": PATIENCE}
        reaching = []
    files = collections.Counter(test.partition("::")[0] for test in reaching)
    first = []
    if files:
        likeliest = files.most_common(1)[0][0]
        first = order([test for test in reaching if test.startswith(likeliest)], durations)[:30]
        yield job_of(first, durations)
    if mutant.file in FAILING:
        yield {"faults": mutant.function}
    rest, seconds = [], 0
    for test in order(set(reaching) - set(first), durations):
        seconds += durations[test]
        if seconds > most:
            break
        rest.append(test)
    if rest:
        yield job_of(rest, durations)


def job_of(tests, durations):
    return {
        "files": sorted({test.partition("::")[0] for test in tests}),
        "only": tests,
        "patience": 30 + 10 * sum(map(durations.get, tests)),
    }


def start_worker():
    global tree
    prctl.set_child_subreaper(True)
    tree = Tree(f"worker-{os.getpid()}")
    tree.build(*EXTENSION)
    status, output = tree.faults("record", "usual")
    if status != 0:
        sys.exit(f"the scenarios of checks/faults could not be run: {output}")


def try_mutant(mutant, jobs):
    """(killed, unnoticed or does not build; by what)"""
    source = (TOP / mutant.file).read_bytes()
    try:
        tree.write(mutant.file, changed(source, [(mutant, "1")]))
        before, tree.changed = tree.changed, mutant.file
        tree.build(*{before, mutant.file} - {None})
        reached = False
        for job in jobs:
            if "faults" in job:
                result, detail = tree.try_failures(job["faults"])
            else:
                result, detail = tree.try_tests(job)
            if result in ("killed", "hung"):
                return result, detail
            reached |= result == "survived"
        return "survived" if reached else "unreached", ""
    except subprocess.CalledProcessError as error:
        return "not built", error.stderr[-300:]
    finally:
        tree.write(mutant.file, source)


URGENT = ["never", "returns", "always", "boundary"]  # a check that is not there, first


def chosen(mutants, names):
    """(number, mutant) of each that is wanted, in the order in which they are tried."""
    wanted = [
        (number, mutant)
        for number, mutant in enumerate(mutants)
        if not names or {mutant.file, f"{mutant.file}:{mutant.function}"} & set(names)
    ]

    def key(item):
        kind = item[1].change.partition(" ")[0]
        return item[1].file not in FAILING, (*URGENT, kind).index(kind)

    return sorted(wanted, key=key)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


class Results:
    """What has become of which mutant, in a file to which each is added when it is known.

    A result is that of the file as the mutant has it, and of the test file that has noticed it.
    """

    def __init__(self):
        self.path, self.known = BUILD / "results", {}
        self.path.touch()
        for line in self.path.read_text().splitlines():
            state, of_test, result, by, _ = json.loads(line)
            self.known[state] = of_test, result, by

    def state(self, mutant):
        return digest(changed((TOP / mutant.file).read_bytes(), [(mutant, "1")]))

    def of_test(self, by):
        path = TOP / by.partition("::")[0]
        return digest(path.read_bytes()) if by.startswith("tests/") and path.exists() else ""

    def get(self, mutant):
        of_test, result, by = self.known.get(self.state(mutant), ("", None, ""))
        return result if self.of_test(by) == of_test else None

    def add(self, mutant, result, by):
        state, of_test = self.state(mutant), self.of_test(by)
        self.known[state] = of_test, result, by
        with open(self.path, "a") as file:
            print(json.dumps([state, of_test, result, by, str(mutant)]), file=file)


def report(mutants, results):
    """Say what has become of the mutants: in lines, and counted for each file."""
    lines, counts = [], collections.defaultdict(collections.Counter)
    for mutant in mutants:
        result = results.get(mutant) or "not run"
        if mutant.name in EQUIVALENT:
            result = "equivalent"
        counts[mutant.file][result] += 1
        if result not in ("killed", "hung", "equivalent"):
            lines.append(f"{result} {mutant}")
    for file, count in counts.items():
        shown = ", ".join(f"{count[result]} {result}" for result in sorted(count))
        lines.append(f"{file}: {count.total()} made, {shown}")
    (BUILD / "report").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return int(any(count["survived"] + count["unreached"] for count in counts.values()))


def try_all(mutants, tasks, workers, results, most=SECONDS):
    """Try those of the mutants that are tasks, as (number, mutant)."""
    tests, path = reach_map(mutants)
    made = path.stat().st_mtime
    later = sorted(str(file) for file in TOP.glob("tests/test_*.py") if file.stat().st_mtime > made)
    new = {"files": later, "known": str(path), "patience": PATIENCE}
    durations = {test: seconds for test, (seconds, _) in tests.items()}
    reaching = collections.defaultdict(list)
    for test, (seconds, numbers) in tests.items():
        for number in numbers if seconds < SLOW else ():
            reaching[number].append(test)
    for left_over in BUILD.glob("worker-*"):
        shutil.rmtree(left_over)
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=start_worker) as pool:
        waiting = {
            pool.submit(
                try_mutant, mutant, list(jobs_for(mutant, reaching[number], durations, new, most))
            ): mutant
            for number, mutant in tasks
        }
        try:
            for done in concurrent.futures.as_completed(waiting):
                result, by = done.result()
                print(result, waiting[done], by, flush=True)
                results.add(waiting[done], result, by)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def main():
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants at a time")
    parser.add_argument("--list", action="store_true", help="list the mutants and do no more")
    parser.add_argument("--again", action="store_true", help="the survivors, too, with every test")
    parser.add_argument("names", nargs="*", metavar="FILE[:FUNCTION]")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    mutants = all_mutants()
    if gone := EQUIVALENT - {mutant.name for mutant in mutants}:
        sys.exit("equivalent.py has what is no mutant: " + "; ".join(sorted(gone)))
    wanted, results = chosen(mutants, options.names), Results()
    if options.list:
        print(*(mutant for _, mutant in wanted), sep="\n")
        return 0
    again = {None} | ({"survived", "unreached"} if options.again else set())
    tasks = [
        (number, mutant)
        for number, mutant in wanted
        if mutant.name not in EQUIVALENT and results.get(mutant) in again
    ]
    prctl.set_child_subreaper(True)
    try:
        most = sys.maxsize if options.again else SECONDS
        try_all(mutants, tasks, options.jobs, results, most)
    finally:
        status = report([mutant for _, mutant in wanted], results)
    return status


if __name__ == "__main__":
    sys.exit(main())
