"""The extension module; every static fact of the package is in pyproject.toml."""

import sysconfig
import tomllib
from pathlib import Path

from setuptools import Extension, setup

project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text())["project"]
macros = [("PRCTL_VERSION", f'"{project["version"]}"')]

# A free-threaded interpreter cannot load the stable ABI: it gets a build of its own.
stable_abi = not sysconfig.get_config_var("Py_GIL_DISABLED")
if stable_abi:
    macros.append(("Py_LIMITED_API", "0x030B0000"))

setup(
    ext_modules=[
        Extension(
            "_prctl",
            sources=[
                "_prctlmodule.c",
                "src/convert.c",
                "src/memory.c",
                "src/plan.c",
                "src/process.c",
                "src/proctitle.c",
                "src/sets.c",
                "src/threads.c",
            ],
            depends=["src/prctlmodule.h", "src/options.h", "src/constants.h", "src/plan.h"],
            define_macros=macros,
            libraries=["cap"],
            # The C files share functions with each other, not with the rest of the process.
            extra_compile_args=["-fvisibility=hidden"],
            py_limited_api=stable_abi,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable_abi else {},
)
