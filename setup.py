"""The extension module and the launcher; every static fact of the package is in pyproject.toml."""

import os
import shlex
import sysconfig
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import LinkError

project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text())["project"]
macros = [("PRCTL_VERSION", f'"{project["version"]}"')]

# ":libcap.a" links libcap statically, for wheels that need no package of the system.
libcap = os.environ.get("PRCTL_LIBCAP", "cap")

# A free-threaded interpreter cannot load the stable ABI: it gets a build of its own.
stable_abi = not sysconfig.get_config_var("Py_GIL_DISABLED")
if stable_abi:
    macros.append(("Py_LIMITED_API", "0x030B0000"))


class Program(Extension):
    """An executable that lies beside the extension modules, under its plain name."""


class build_ext(build_ext):
    def get_ext_filename(self, fullname):
        if isinstance(self.ext_map.get(fullname), Program):
            return os.path.join(*fullname.split("."))
        return super().get_ext_filename(fullname)

    def build_extension(self, ext):
        if not isinstance(ext, Program):
            super().build_extension(ext)
            return
        try:
            self.build_program(ext, [], ["-nostdlib", "-static", "-no-pie"])
        except LinkError:  # another architecture (see src/start.h), or a sanitizer's flags
            flags = shlex.split(os.environ.get("LDFLAGS", ""))
            self.build_program(ext, [("WITH_LIBC", None)], flags)

    def build_program(self, ext, macros, flags):
        objects = self.compiler.compile(
            ext.sources,
            output_dir=self.build_temp,
            macros=macros,
            extra_postargs=ext.extra_compile_args,
            depends=ext.depends,
        )
        path = self.get_ext_fullpath(ext.name)
        self.compiler.link_executable(objects, path, extra_postargs=flags)


setup(
    cmdclass={"build_ext": build_ext},
    ext_modules=[
        Extension(
            "_prctl",
            sources=[
                "_prctlmodule.c",
                "src/audit.c",
                "src/capability.c",
                "src/convert.c",
                "src/memory.c",
                "src/plan.c",
                "src/process.c",
                "src/proctitle.c",
                "src/sets.c",
                "src/threads.c",
            ],
            depends=[
                "src/prctlmodule.h",
                "src/options.h",
                "src/constants.h",
                "src/plan.h",
                "src/capset.h",
            ],
            define_macros=macros,
            libraries=[libcap, "dl"],
            # The C files share functions with each other, libcap.a's too, not with the process.
            extra_compile_args=["-fvisibility=hidden"],
            extra_link_args=["-Wl,--exclude-libs,ALL"],
            py_limited_api=stable_abi,
        ),
        Program(
            "_prctl_launcher",
            sources=["src/launcher.c"],
            depends=["src/capset.h", "src/options.h", "src/plan.h", "src/start.h"],
            extra_compile_args=["-ffreestanding", "-fno-stack-protector", "-fno-lto"],
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable_abi else {},
)
