"""The build in which calls fail: the extension and the launcher with faults.h and faults.c."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent.parent / "tests"
SOURCES = Path.cwd()  # mutations.py has copies of them
FOLDER = SOURCES / "build" / "faults"
LIBRARY = FOLDER / "_prctl.so"
LAUNCHER = FOLDER / "_prctl_launcher"

COMPILER = shlex.split(os.environ.get("CC") or "gcc")
# Without optimisation, so that each line has code of its own and each function a frame.
FLAGS = ["-gdwarf-4", "-O0", "-fno-omit-frame-pointer", "-I.", f"-I{sysconfig.get_path('include')}"]
FLAGS += shlex.split(os.environ.get("CPPFLAGS", ""))
WATCHED = ["-include", HERE / "faults.h", "-fsanitize-coverage=trace-pc"]
LIBRARY_FLAGS = ["-fPIC", "-fvisibility=hidden", '-DPRCTL_VERSION="faults"']
LIBRARY_FLAGS += ["-DPy_LIMITED_API=0x030B0000"]
PROGRAM_FLAGS = ["-DFAULTS_IN_PROGRAM", "-DWITH_LIBC"]


def c_files():
    """The extension's, as setup.py has them."""
    setup = (SOURCES / "setup.py").read_text()
    sources = re.search(r'"_prctl",\s*sources=\[(.*?)\]', setup, re.DOTALL)[1]
    return re.findall(r'"([^"]+\.c)"', sources)


def code_file(binary):
    """Where it is noted which of its code has run."""
    return binary.with_name(binary.name + ".code")


def build():
    """All of it; returns the objects of the sources."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for module in ("prctl.py", *(path.name for path in SOURCES.glob("_prctl_*.py"))):
        (FOLDER / module).symlink_to(SOURCES / module)
    names = [*c_files(), "src/launcher.c"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_compile, name) for name in names]
        jobs.append(pool.submit(_compile_own, LIBRARY, LIBRARY_FLAGS))
        jobs.append(pool.submit(_compile_own, LAUNCHER, PROGRAM_FLAGS))
    for job in jobs:
        job.result()
    _link()
    return [_object(name) for name in names]


def build_again(names):
    """These sources have changed."""
    for name in names:
        _compile(name)
    _link()


def _link():
    libcap = f"-l{os.environ.get('PRCTL_LIBCAP', 'cap')}"
    linked = [*shlex.split(os.environ.get("LDFLAGS", "")), libcap, "-ldl", "-lpthread"]
    objects = [*map(_object, c_files()), _own_object(LIBRARY)]
    _run(*COMPILER, "-shared", *objects, "-Wl,--exclude-libs,ALL", *linked, "-o", LIBRARY)
    _run(*COMPILER, _object("src/launcher.c"), _own_object(LAUNCHER), "-o", LAUNCHER)
    for binary in LIBRARY, LAUNCHER:
        with open(code_file(binary), "wb") as file:
            file.truncate(_extent(binary))
        code_file(binary).chmod(0o666)  # children become ordinary users


def _flags_of(name):
    if name == "src/launcher.c":
        return [*WATCHED, *PROGRAM_FLAGS]
    includes = (SOURCES / name).read_text()
    libcap = ["-DFAULTS_LIBCAP"] if "#include <sys/capability.h>" in includes else []
    return [*WATCHED, *LIBRARY_FLAGS, *libcap]


def _object(name):
    return FOLDER / (Path(name).stem + ".o")


def _own_object(binary):
    return FOLDER / f"faults-{binary.name}.o"


def _compile(name):
    _run(*COMPILER, *FLAGS, *_flags_of(name), "-c", name, "-o", _object(name))


def _compile_own(binary, flags):
    code = f'-DFAULTS_CODE="{code_file(binary)}"'
    own = HERE / "faults.c"
    _run(*COMPILER, *FLAGS, *flags, code, "-c", own, "-o", _own_object(binary))


def _extent(binary):
    """The end of its code, counted from where it is mapped."""
    symbols = _run("nm", "--defined-only", binary).split()
    return max(int(value, 16) for value in symbols if re.fullmatch("[0-9a-f]{16}", value)) + 4096


def _run(*command):
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stderr}")
    return done.stdout
