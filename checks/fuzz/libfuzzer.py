"""Builds _prctl with clang's sanitizers and coverage, and lets libFuzzer run inputs.py on it.

libFuzzer is a static library: made a shared one, it can be loaded before Python, which then calls
its LLVMFuzzerRunDriver(). So any Python does, and no program has to embed one.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import inputs
import support

import prctl

HERE = Path(__file__).resolve().parent
STARTING = 1  # seconds that a process takes before it begins
PYTHON_FILES = "prctl.py", "_prctl_operations.py", "_prctl_children.py", "_prctl_capabilities.py"
SANITIZERS = "-fsanitize=address,undefined,fuzzer-no-link", "-fno-sanitize-recover=undefined"


def build(folder):
    """The instrumented library in a folder; what is to be loaded before Python."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["CC"] = "clang"
    flags = *SANITIZERS, "-shared-libsan", "-g", "-O1", '-DPRCTL_VERSION="instrumented"'
    support.compile_extension(folder, *flags)
    for name in PYTHON_FILES:
        shutil.copy(support.SOURCES / name, folder)
    fuzzer = folder / "libfuzzer.so"
    whole = "-Wl,--whole-archive", _of_clang("fuzzer_no_main", "a"), "-Wl,--no-whole-archive"
    support.run("clang", "-shared", *whole, "-lstdc++", "-lm", "-o", str(fuzzer))
    # libFuzzer first: the sanitizer has functions of the same names, which count nothing.
    return f"{fuzzer} {_of_clang('asan', 'so')}"


def _of_clang(library, kind):
    machine = {"i686": "i386"}.get(support.machine(), platform.machine())
    for name in (f"libclang_rt.{library}-{machine}.{kind}", f"libclang_rt.{library}.{kind}"):
        path = support.run("clang", f"-print-file-name={name}").strip()
        if os.path.isabs(path):
            return path
    raise FileNotFoundError(f"clang has no {name}")


class Campaign:
    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        preload = build(folder / "instrumented")
        modules = folder / "instrumented", HERE, HERE.parent.parent / "tests"
        self.environment = os.environ | {
            "LD_PRELOAD": preload,
            "PYTHONPATH": ":".join(map(str, modules)),
            "PYTHONMALLOC": "malloc",  # what the sanitizer watches
            "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16:verify_asan_link_order=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        for name in ("work", "corpus"):
            (folder / name).mkdir(exist_ok=True)
        self.dictionary = folder / "dictionary"
        words = [f"cap_{name}" for name in prctl.ALL_CAP_NAMES] + ["all", "=ep", "+eip", "-eip"]
        self.dictionary.write_text("".join(f'"{word}"\n' for word in words))

    def check_itself(self):
        """The planted faults must be found, or the others would not be; and the code be counted."""
        ended = self._fuzz("text", "-runs=1")
        if " cov: " not in ended.stderr:
            sys.exit(f"fuzz: libFuzzer sees nothing of the C code\n{ended.stderr}")
        for seed, report in zip(self._seeds("planted"), inputs.PLANTED, strict=True):
            ended = self._fuzz("planted", str(seed))
            if ended.returncode == 0 or report not in ended.stderr:
                sys.exit(f"fuzz: the planted fault is not found: {report}\n{ended.stderr}")

    def run(self, name, seconds):
        """Fuzz one target. Whether nothing is found."""
        if name == "attribute" and not _may_set_attributes(self.folder / "work"):
            print("attribute   not run: giving a file the attribute needs CAP_SETFCAP")
            return True
        self._seeds(name)
        corpus = self.folder / "corpus" / name
        corpus.mkdir(exist_ok=True)
        options = f"-max_total_time={seconds:.0f}", f"-seed={self.seed % 2**32}", "-max_len=512"
        options += f"-dict={self.dictionary}", "-print_final_stats=1", "-timeout=20"
        options += f"-artifact_prefix={self.folder}/{name}-", str(corpus), str(self._folder(name))
        ended = self._fuzz(name, *options)
        print(f"{name:12}{_summary(ended.stderr)}", flush=True)
        if ended.returncode:
            self._tell(name, ended.stderr)
        return ended.returncode == 0

    def _fuzz(self, *arguments):
        return subprocess.run(
            [sys.executable, str(HERE / "inputs.py"), *arguments],
            cwd=self.folder / "work",
            env=self.environment,
            capture_output=True,
            encoding="ascii",
            errors="backslashreplace",
            check=False,
        )

    def _folder(self, name):
        return self.folder / "seeds" / name

    def _seeds(self, name):
        self._folder(name).mkdir(parents=True, exist_ok=True)
        files = []
        for place, seed in enumerate(inputs.SEEDS[name]):
            files.append(self._folder(name) / str(place))
            files[-1].write_bytes(seed if isinstance(seed, bytes) else os.fsencode(seed))
        return files

    def _tell(self, name, log):
        """What has gone wrong, and the calls that did it, which are made once more."""
        progress = r"#\d|INFO:|stat::|Dictionary|\s*NEW_FUNC"
        report = [line for line in log.splitlines() if not re.match(progress, line)]
        print("\n".join(report[:40]))
        artifact = re.search(r"Test unit written to (\S+)", log)
        if artifact:
            self.environment["PRCTL_FUZZ_SHOW"] = "1"
            again = self._fuzz(name, artifact[1])
            del self.environment["PRCTL_FUZZ_SHOW"]
            lines = "import hostile, _prctl, prctl  # PYTHONPATH=checks/fuzz:tests", again.stdout
            path = Path(f"{artifact[1]}.py")
            path.write_text("\n".join(lines))
            print(f"found in {name}, {path}:\n{path.read_text()}")


def _may_set_attributes(folder):
    file = folder / "file"
    file.touch()
    try:
        os.setxattr(file, "security.capability", inputs.SEEDS["attribute"][0])
    except OSError:
        return False
    return True


def _summary(log):
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    last = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", log)
    cov, features, corpus = last[-1] if last else ("?", "?", "?")
    runs = runs[1] if runs else "?"
    return f"{runs:>10} runs {cov:>5} edges {features:>5} features {corpus:>4} inputs kept"


def fuzz(folder, seed, seconds):
    """Whether nothing is found; every target has its part of the time."""
    end = time.monotonic() + seconds
    campaign = Campaign(folder, seed)
    campaign.check_itself()
    names = [name for name in inputs.TARGETS if name != "planted"]
    fine = True
    while names:
        part = (end - time.monotonic()) / len(names)
        fine = campaign.run(names.pop(0), max(1, part - STARTING)) and fine
    return fine
