# SPDX-License-Identifier: Apache-2.0
"""What an author of plugins has: weir and its -dev files installed somewhere, a compiler, and nothing of this tree."""
import os
import subprocess

import pytest

import harness


class Kit:
    def __init__(self, prefix):
        self.prefix = prefix
        self.weir = prefix / "bin" / "weir"
        found = list(prefix.glob("lib*/**/pkgconfig"))
        assert found, "no pkgconfig folder below %s" % prefix
        self.pkgconfig = found[0]
        self.env = {**{key: value for key, value in os.environ.items() if not key.startswith("WEIR_")},
                    "PATH": "%s:%s" % (prefix / "bin", os.environ["PATH"]),
                    "PKG_CONFIG_PATH": str(self.pkgconfig), "CMAKE_PREFIX_PATH": str(prefix)}

    def run(self, *command, cwd, status=0):
        done = subprocess.run([str(word) for word in command], cwd=cwd, env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
        assert done.returncode == status, "%s\n%s" % (command, done.stdout)
        return done.stdout

    def build(self, source, build, *options):
        """Configures and builds a project as its author would; the build folder."""
        self.run("cmake", "-S", source, "-B", build, *options, cwd=source)
        self.run("cmake", "--build", build, cwd=source)
        return build


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("installed")
    for component in ("weir", "dev"):
        subprocess.run(["cmake", "--install", str(harness.BUILD), "--prefix", str(prefix), "--component", component],
                       check=True, stdout=subprocess.DEVNULL)
    for folder in (prefix, *prefix.parents):
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o002 and not folder.stat().st_mode & 0o1000:
            folder.chmod(folder.stat().st_mode & ~0o002)
    return Kit(prefix)
