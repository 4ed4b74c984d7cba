"""Puts libmarsfm, its plugins and the default model into the wheel, laid out as ./x install does.

They are built by cargo in the checkout around this folder, or taken from an installed prefix that
the environment variable MARSFM_PREFIX names.
"""

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
MODEL = "tetrapeptide/tetrapeptide.safetensors"


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        native = Path(self.build_lib) / "marsfm" / "native"
        prefix = os.environ.get("MARSFM_PREFIX")
        if prefix:
            library = Path(prefix) / "lib/libmarsfm.so"
            plugins = Path(prefix) / "lib/marsfm/plugins"
            model = Path(prefix) / "share/marsfm/models" / MODEL
        else:
            root = HERE.parents[1]
            command = ["cargo", "build", "--release"]
            subprocess.run(command, cwd=root, check=True)
            target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
            library = target / "release/libmarsfm.so"
            plugins = target / "release"
            model = root / "examples/models" / MODEL
        files = [(library, "lib/libmarsfm.so"), (model, "share/marsfm/models/" + MODEL)]
        names = ["libmarsfm_plugin_xtc.so", "libmarsfm_plugin_chemfiles.so"]
        files += [(plugins / n, "lib/marsfm/plugins/" + n) for n in names if (plugins / n).is_file()]
        for source, to in files:
            (native / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, native / to)


class PlatformWheel(bdist_wheel):
    """No Python ABI, but a library of this platform."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
