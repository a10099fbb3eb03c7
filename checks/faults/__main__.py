"""Each call in the C sources that can fail is made to fail, one at a time. Run by ``./dev faults``.

The extension and the launcher are built as faults.h has them. Scenarios call the library, each in a
child of its own: once to see which places they pass, then with each of those places failing. What
must come of it is MemoryError or the OSError of the errno, nothing changed and nothing left behind;
reasons.py has the exceptions to that.

./dev mutate runs it, too, in copies of the sources; mutants.py is about that:

    faults record FILE                      what each scenario passes
    faults mutant FILE FUNCTION SOURCE...   sources that have changed in the function: is it seen?
"""

import sys
import time

import building

start = time.monotonic()
if sys.argv[1:2] == ["mutant"]:
    building.build_again(sys.argv[4:])
else:
    objects = building.build()
sys.path[:0] = [str(building.FOLDER), str(building.TESTS)]

# They import the library that has just been built.
import completeness  # noqa: E402
import injection  # noqa: E402
import launching  # noqa: E402
import mutants  # noqa: E402
import report  # noqa: E402

match sys.argv[1:]:
    case ["record", file]:
        mutants.record(file)
    case ["mutant", file, function, *_]:
        mutants.show(file, function)
    case _:
        unknown = completeness.unknown_calls(objects)
        verdicts, lost = injection.run()
        launches = launching.verdicts()
        succeeded = report.say(verdicts, lost, launches, unknown)
        print(f"{time.monotonic() - start:.0f} s")
        sys.exit(not succeeded)
