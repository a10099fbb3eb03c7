"""Which lines of the C sources have run, in whatever process, by the notes of faults.c."""

import re
import subprocess
from collections import defaultdict

import building


def lines(binary):
    """{(file, function, line): whether any of its code has run}"""
    returns = _addresses_noted(binary)
    command = ["addr2line", "-f", "-e", binary, *map(hex, returns)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    ran = building.code_file(binary).read_bytes()
    found = defaultdict(bool)
    for address, function, place in zip(returns, said[::2], said[1::2], strict=False):
        file, _, line = place.split(" ")[0].rpartition(":")
        # The rows of options.h are names for what the launcher says of a step.
        own = str(building.SOURCES) in file and "checks/" not in file and "options.h" not in file
        if own and line.isdigit():
            name = file.split(str(building.SOURCES))[1].strip("/").replace("./", "")
            found[name, function, int(line)] |= bool(ran[address])
    return dict(found)


def _addresses_noted(binary):
    """What each call of __sanitizer_cov_trace_pc() returns to: the instruction behind it."""
    command = ["objdump", "-d", "--no-show-raw-insn", binary]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, called = [], False
    for line in listing.splitlines():
        address = re.match(r" *([0-9a-f]+):\t(.*)", line)
        if address and called:
            found.append(int(address[1], 16))
        called = bool(address and "<__sanitizer_cov_trace_pc" in address[2])
    return found


def not_run():
    """Lines as "file function(): text", and how many lines there are."""
    missing, count = set(), 0
    for binary in building.LIBRARY, building.LAUNCHER:
        for (file, function, line), ran in lines(binary).items():
            count += 1
            if not ran:
                text = (building.SOURCES / file).read_text().splitlines()[line - 1].strip()
                missing.add(f"{file} {function}(): {text}")
    return missing, count
