"""What a build needs, what it says when that is missing, and what it makes."""

import importlib.metadata
import re
import shutil
import subprocess
import sysconfig
import tarfile
from pathlib import Path

import pytest
import support

import _prctl

LIBRARY = Path(_prctl.__file__)
INSTALLED = importlib.metadata.distribution("python-prctl")
FOR_ANY_MACHINE = re.search(r"-(many|musl)linux_", INSTALLED.read_text("WHEEL") or "")
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")
PACKAGES = ["libcap-dev (Debian", "libcap-devel (Fedora", "libcap-dev (Alpine"]


def sources():
    """The extension's C files, in the order in which setup.py has them compiled."""
    setup = support.SOURCES / "setup.py"
    names = re.findall(r'"([\w/]+\.c)"', setup.read_text()) if setup.exists() else []
    files = [support.SOURCES / name for name in names]
    return [file for file in files if "prctlmodule.h" in file.read_text()]


@pytest.fixture(params=["gcc", "clang"])
def compiler(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


# ---- Without libcap's headers


def searched_folders(compiler):
    """Where a compiler looks for headers, as it says itself."""
    command = [compiler, "-E", "-v", "-x", "c", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    between = re.search(r"#include <\.\.\.> search starts here:\n(.*?)End of search", said, re.S)
    return [Path(line.strip()) for line in between[1].splitlines()]


def without_libcap(folder, mirror):
    """A folder of links to all headers of another but sys/capability.h."""
    (mirror / "sys").mkdir(parents=True)
    for entry in folder.iterdir():
        if entry.name != "sys":
            (mirror / entry.name).symlink_to(entry)
    for entry in folder.glob("sys/*"):
        if entry.name != "capability.h":
            (mirror / "sys" / entry.name).symlink_to(entry)
    return mirror


@pytest.fixture
def compile_without_libcap(compiler, tmp_path):
    """A function that compiles one file and returns the errors."""
    flags = ["-nostdinc", "-fsyntax-only", support.python_headers(), '-DPRCTL_VERSION="0"']
    for place, folder in enumerate(filter(Path.is_dir, searched_folders(compiler))):
        flags += ["-isystem", str(without_libcap(folder, tmp_path / str(place)))]

    def compile_file(source):
        command = [compiler, *flags, str(source)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
        return [line for line in said.splitlines() if re.search(r"\berror:", line)]

    return compile_file


def test_missing_headers_end_the_build_in_one_message(compile_without_libcap):
    if not sources():
        pytest.skip("the sources are not beside the tests")
    assert len(compile_without_libcap(sources()[0])) == 1


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_every_file_names_the_packages_that_bring_the_headers(source, compile_without_libcap):
    [error, *_] = compile_without_libcap(source)
    assert [package for package in PACKAGES if package not in error] == []


# ---- What the sdist has


def test_the_sdist_has_every_file_of_the_repository(tmp_path):
    if not (support.SOURCES / ".git").exists():
        pytest.skip("the tests are not in a git repository")
    git = [support.tool("git"), "-c", "safe.directory=*", "-C", str(support.SOURCES)]
    tracked = support.run(*git, "ls-files", "-z").split("\0")[:-1]
    for name in tracked:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(support.SOURCES / name, tmp_path / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('.')"
    support.run_python(build, cwd=tmp_path)
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert [name for name in tracked if name not in packed] == []


# ---- What is installed


def test_the_licences_are_installed_with_it():
    texts = [path.name for path in INSTALLED.files if "licenses" in path.parts]
    assert sorted(texts) == ["COPYING", "libcap.txt"]


def readelf(*options):
    return support.run(support.tool("readelf"), "--wide", *options, str(LIBRARY))


@pytest.mark.skipif(not STABLE_ABI, reason="a free-threaded Python cannot load the stable ABI")
def test_the_extension_is_built_for_the_stable_abi():
    assert LIBRARY.name == "_prctl.abi3.so"


def test_the_extension_needs_no_libraries_but_libc_and_libcap():
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic"))
    assert [
        name for name in needed if not re.match(r"lib(cap|c|dl|pthread)\.|ld(64)?[-.]", name)
    ] == []


@pytest.mark.skipif(not FOR_ANY_MACHINE, reason="this wheel was made for this machine only")
def test_a_wheel_for_any_machine_brings_libcap_and_names_no_folder():
    said = readelf("--dynamic")
    assert "libcap" not in said
    assert "PATH" not in said


def dynamic_symbols():
    """{name: whether it is defined here} of what the dynamic linker sees."""
    found = re.findall(
        r"(?:GLOBAL|WEAK)\s+(?:DEFAULT|PROTECTED)\s+(?:\[.*?\]\s+)?(\w+) (\w+)",
        readelf("--dyn-syms"),
    )
    return {name: place != "UND" for place, name in found}


def test_the_extension_exports_nothing_but_its_init_function():
    defined = [name for name, is_defined in dynamic_symbols().items() if is_defined]
    assert [name for name in defined if name not in ("_init", "_fini")] == ["PyInit__prctl"]


@pytest.mark.skipif(not STABLE_ABI, reason="a free-threaded Python cannot load the stable ABI")
def test_the_extension_uses_nothing_of_python_but_the_limited_api(compiler):
    headers = support.python_headers()
    flags = ["-DPy_LIMITED_API=0x030B0000", "-DPY_SSIZE_T_CLEAN", headers, "-include", "Python.h"]
    declared = set(re.findall(r"\w+", support.run(compiler, "-E", "-x", "c", *flags, "/dev/null")))
    used = [name for name in dynamic_symbols() if re.match("_?Py", name)]
    assert [name for name in used if name not in declared | {"PyInit__prctl"}] == []
