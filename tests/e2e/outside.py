# SPDX-License-Identifier: Apache-2.0
"""A folder that other users can reach, with copies of what they need: pytest's own, and the build, may lie below one of root's."""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import harness
from conftest import Lab


class Outside(Lab):
    def __init__(self, folder):
        super().__init__(folder)
        self.plugins = self.plugin_dir = folder / "plugins"
        self.plugins.mkdir()
        for plugin in (harness.BUILD / "plugins").glob("*.so"):
            shutil.copy(plugin, self.plugins)

    def beside(self, name):
        """A new folder that is not below that of the configuration."""
        path = self.folder.parent / name
        path.mkdir()
        return path

    def add_plugin(self, name):
        """A copy of a test plugin; returns its path."""
        return Path(shutil.copy(harness.TEST_PLUGINS / (name + ".so"), self.plugins))

    def config(self, inputs, outputs, service=None, plugins=(), **kwargs):
        for name in plugins:
            if not (self.plugins / (name + ".so")).exists():  # one that is loaded must stay as it is
                self.add_plugin(name)
        return super().config(inputs, outputs, service, plugins, **kwargs)

    def copy_of_weir(self):
        copy = self.folder / "weir-copy"
        return copy if copy.exists() else Path(shutil.copy(harness.WEIR, copy))

    def start(self, args, env=None, **kwargs):
        # A process that was root can't be looked into by the leak checker, nor one that may not use ptrace.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        return super().start(args, env={"WEIR_PLUGIN_PATH": str(self.plugins), "ASAN_OPTIONS": sanitizer, **(env or {})}, **kwargs)


@pytest.fixture
def outside():
    if os.geteuid() != 0:
        (pytest.fail if harness.IN_CI else pytest.skip)("only root can give up what root may")
    with tempfile.TemporaryDirectory(prefix="weir-", dir="/tmp") as name:
        folder = Path(name) / "home"
        folder.mkdir()
        for each in (folder, folder.parent):
            each.chmod(0o755)
        lab = Outside(folder)
        yield lab
        lab.finish()
