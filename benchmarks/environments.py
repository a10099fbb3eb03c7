"""What the rows are run in: a virtual environment for each library, and the limit as compiled C."""

import compileall
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).parent
WHEELS = HERE.parent / "dist"  # what would be uploaded, which ./dev bench makes beforehand


def compile_c(source, output, *flags):
    compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("cc") or "gcc"]
    subprocess.run([*compiler, "-O2", *flags, "-o", output, HERE / source], check=True)
    return output


def make_venv(folder):
    """The Python of a virtual environment that is made when it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=False, symlinks=True)
    return str(python)


def install(python, *arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--python", python]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    found = subprocess.run(
        [*command, "install", *arguments], capture_output=True, text=True, env=environment
    )
    if found.returncode != 0:
        raise RuntimeError(found.stderr.strip().splitlines()[-1])


def make_empty(folder):
    """An empty module, which imports an empty extension."""
    python = make_venv(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    include = sysconfig.get_path("include")
    flags = ["-shared", "-fPIC", f"-I{include}"]
    compile_c("empty.c", packages / f"_empty{sysconfig.get_config_var('EXT_SUFFIX')}", *flags)
    (packages / "empty.py").write_text("import _empty\n")
    compileall.compile_dir(packages, quiet=1)
    return python


def make_ours(folder):
    python = make_venv(folder)
    install(python, "--force-reinstall", "--no-deps", *map(str, WHEELS.glob("*.whl")))
    return python


def make_peer(folder, requirements):
    python, done = make_venv(folder), folder / requirements.name
    wanted = requirements.read_text()
    if not done.exists() or done.read_text() != wanted:
        install(python, "-r", str(requirements))
        done.write_text(wanted)
    return python


def prepare(folder, with_peers):
    """What starts each environment: its Python, and for C the program.

    Without the peers, this library is that of the running Python. A peer that cannot be installed
    is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = {
        "C": str(compile_c("limit.c", folder / "limit", "-pthread")),
        "empty": make_empty(folder / "empty"),
        "prctl": make_ours(folder / "prctl") if with_peers else sys.executable,
    }
    for requirements in sorted(HERE.glob("requirements-*.txt")) if with_peers else ():
        name = requirements.stem.removeprefix("requirements-")
        try:
            starts[name] = make_peer(folder / name, requirements)
        except RuntimeError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return starts
