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
SOURCES = HERE.parent.parent
FOLDER = SOURCES / "build" / "faults"
LIBRARY = FOLDER / "_prctl.so"
LAUNCHER = FOLDER / "_prctl_launcher"

COMPILER = shlex.split(os.environ.get("CC") or "gcc")
# Without optimisation, so that each line has code of its own and each function a frame.
FLAGS = ["-gdwarf-4", "-O0", "-fno-omit-frame-pointer", "-I.", f"-I{sysconfig.get_path('include')}"]
FLAGS += shlex.split(os.environ.get("CPPFLAGS", ""))
WATCHED = ["-include", "checks/faults/faults.h", "-fsanitize-coverage=trace-pc"]
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
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for module in ("prctl.py", *(path.name for path in SOURCES.glob("_prctl_*.py"))):
        (FOLDER / module).symlink_to(SOURCES / module)
    files = c_files()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_compile, name, _flags_of(name)) for name in files]
        jobs.append(pool.submit(_compile, "src/launcher.c", [*WATCHED, *PROGRAM_FLAGS]))
        jobs.append(pool.submit(_compile_own, LIBRARY, LIBRARY_FLAGS))
        jobs.append(pool.submit(_compile_own, LAUNCHER, PROGRAM_FLAGS))
        *objects, launcher, own, own_of_launcher = [job.result() for job in jobs]
    libcap = f"-l{os.environ.get('PRCTL_LIBCAP', 'cap')}"
    linked = [*shlex.split(os.environ.get("LDFLAGS", "")), libcap, "-ldl", "-lpthread"]
    _run(*COMPILER, "-shared", *objects, own, "-Wl,--exclude-libs,ALL", *linked, "-o", LIBRARY)
    _run(*COMPILER, launcher, own_of_launcher, "-o", LAUNCHER)
    for binary in LIBRARY, LAUNCHER:
        with open(code_file(binary), "wb") as file:
            file.truncate(_extent(binary))
        code_file(binary).chmod(0o666)  # children become ordinary users
    return [*objects, launcher]


def _flags_of(name):
    includes = (SOURCES / name).read_text()
    libcap = ["-DFAULTS_LIBCAP"] if "#include <sys/capability.h>" in includes else []
    return [*WATCHED, *LIBRARY_FLAGS, *libcap]


def _compile(name, flags):
    made = FOLDER / (Path(name).stem + ".o")
    _run(*COMPILER, *FLAGS, *flags, "-c", name, "-o", made)
    return made


def _compile_own(binary, flags):
    made = FOLDER / f"faults-{binary.name}.o"
    code = f'-DFAULTS_CODE="{code_file(binary)}"'
    _run(*COMPILER, *FLAGS, *flags, code, "-c", "checks/faults/faults.c", "-o", made)
    return made


def _extent(binary):
    """The end of its code, counted from where it is mapped."""
    symbols = _run("nm", "--defined-only", binary).split()
    return max(int(value, 16) for value in symbols if re.fullmatch("[0-9a-f]{16}", value)) + 4096


def _run(*command):
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stderr}")
    return done.stdout
