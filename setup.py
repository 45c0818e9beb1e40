"""Adds the presets, which stand beside the library where users look for them, to the installed package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithPresets(build_py):
    """`build_py`, and ``presets/`` as ``sonic_guard/presets``."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            shutil.copytree("presets", Path(self.build_lib, "sonic_guard", "presets"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithPresets})
