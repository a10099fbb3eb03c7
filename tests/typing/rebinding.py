"""What drops nothing, though it looks like it: mypy must say so of both lines.

Not of usage.py, because pyright accepts any assignment to an attribute of a module.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=false

import prctl

prctl.cap_effective = prctl.cap_effective - {"kill"}  # type: ignore[assignment]
prctl.securebits = prctl.Securebits()  # type: ignore[misc]
