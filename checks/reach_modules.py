"""What reach.c is in the extension, for the Python modules; in the environment of the first run."""

import mmap
import pathlib

with open(pathlib.Path(__file__).parent / "reached", "r+b") as file:
    reached = mmap.mmap(file.fileno(), 0)


def reach(number):
    reached[number] = 1
    return 0
