# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: installed, started as the unit says, reloaded, upgraded, removed and purged, in a copy of this system
that lies over it and vanishes; the manual pages and the completion."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import BUILD, IN_CI, ROOT, run, until
from ports import free_port

pytestmark = pytest.mark.one_build


def have(*programs):
    return IN_CI or (os.getuid() == 0 and all(shutil.which(p) for p in programs))


class System:
    """This system under an overlay, in a mount namespace of its own: what dpkg does there stays there."""

    def __init__(self, folder):
        script = ("set -e; mount -t tmpfs t $1; mkdir $1/upper $1/work $1/root; "
                  "mount -t overlay o -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/root; "
                  "mount --rbind /proc $1/root/proc; mount --rbind /dev $1/root/dev; mkdir $1/ready; exec sleep infinity")
        self.root = folder / "root"
        self.folder = folder
        self.holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "bash", "-c", script, "-", folder])
        until(lambda: self.holder.poll() is not None or self.call("test", "-d", folder / "ready", chroot=False).returncode == 0,
              "the overlay")
        assert self.holder.poll() is None, "no overlay can be mounted here"
        self.running = None

    def _command(self, args, chroot=True):
        return ["nsenter", "-t", str(self.holder.pid), "-m", *(["chroot", str(self.root)] if chroot else []), *map(str, args)]

    def call(self, *args, chroot=True):
        return subprocess.run(self._command(args, chroot), capture_output=True, text=True, timeout=600, check=False,
                              env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})

    def do(self, *args):
        done = self.call(*args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def install(self, *packages):
        for package in packages:
            self.do("dpkg", "--force-unsafe-io", "-i", package)

    def start(self):
        """As systemd would: the unit's command line, as the unit's user, in its folders."""
        unit = dict(re.findall(r"^(\w+)=(.+)$", self.do("cat", "/usr/lib/systemd/system/weir.service"), re.M))
        self.do("install", "-d", "-o", unit["User"], "-m", unit["StateDirectoryMode"], "/var/lib/" + unit["StateDirectory"])
        self.out = self.folder.parent / "service.out"
        with open(self.out, "ab") as out, open(self.folder.parent / "service.err", "ab") as err:
            self.running = subprocess.Popen(
                self._command(["setpriv", "--reuid", unit["User"], "--regid", unit["Group"], "--init-groups", "--no-new-privs",
                               *unit["ExecStart"].split()]), stdout=out, stderr=err, stdin=subprocess.DEVNULL)

    def stop(self):
        self.running.terminate()
        assert self.running.wait(120) == 0, (self.folder.parent / "service.err").read_text()
        self.running = None

    def close(self):
        if self.running:
            self.running.kill()
            self.running.wait()
        self.holder.kill()
        self.holder.wait()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    if not have("cpack", "dpkg-shlibdeps", "unshare", "nsenter"):
        pytest.skip("not root, or a tool is missing")
    folder = tmp_path_factory.mktemp("packages")
    for version in ("0.9.0", "0.9.1"):
        done = subprocess.run(["cpack", "-D", "CPACK_PACKAGE_VERSION=" + version, "-D", "CPACK_PACKAGE_DIRECTORY=%s" % folder],
                              cwd=BUILD, umask=0o022, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return {path.name.rsplit("_", 1)[0]: path for path in folder.glob("*.deb")}


@pytest.fixture
def system(tmp_path):
    folder = tmp_path / "system"
    folder.mkdir()
    one = System(folder)
    yield one
    one.close()


def test_the_life_of_a_package(packages, system):
    assert set(packages) == {"weir_0.9.0", "weir-dev_0.9.0", "weir_0.9.1", "weir-dev_0.9.1"}
    system.do("rm", "-rf", "/var/lib/weir", "/etc/weir")
    system.install(packages["weir_0.9.0"])
    assert "adm" in system.do("id", "-nG", "weir").split()
    assert system.do("stat", "-c", "%U %a", "/var/lib/weir").split() == ["weir", "700"]
    assert system.do("weir", "check", "-c", "/etc/weir/weir.yaml").endswith("ok, 1 input and 1 output\n")
    port = free_port()
    system.do("sed", "-i", "s/http_port: 2020/http_port: %d/" % port, "/etc/weir/weir.yaml")
    system.start()
    until(lambda: system.call("weir", "status", "-c", "/etc/weir/weir.yaml").returncode == 0, "that it answers")
    until(lambda: b"status installed weir" in system.out.read_bytes(), "a line of dpkg's log")
    system.do("sh", "-c", "echo 'a line more' >>/var/log/dpkg.log")
    until(lambda: b'"log":"a line more"' in system.out.read_bytes(), "a line that was added")
    system.do("sed", "-i", "s/tag: system.dpkg/tag: other/", "/etc/weir/weir.yaml")
    assert "generation 2" in system.do("weir", "reload", "-c", "/etc/weir/weir.yaml")
    status = json.loads(system.do("weir", "status", "--json", "-c", "/etc/weir/weir.yaml"))
    assert status["inputs"][0]["tag"] == "other"
    # Upgraded under a running one: what the operator changed stays, and positions do.
    system.install(packages["weir_0.9.1"])
    assert str(port) in system.do("cat", "/etc/weir/weir.yaml")
    system.stop()
    size = system.out.stat().st_size
    system.start()
    until(lambda: system.call("weir", "status", "-c", "/etc/weir/weir.yaml").returncode == 0, "that it answers again")
    system.stop()
    assert b"a line more" not in system.out.read_bytes()[size:], "delivered twice"
    system.do("dpkg", "-r", "weir")
    assert system.call("test", "-e", "/usr/bin/weir").returncode == 1
    assert system.call("test", "-e", "/var/lib/weir/checkpoint.db").returncode == 0
    system.do("dpkg", "-P", "weir")
    for path in ("/etc/weir", "/var/lib/weir", "/usr/lib/weir", "/usr/share/weir"):
        assert system.call("test", "-e", path).returncode == 1, path


def test_the_dev_package_builds_a_plugin(packages, system):
    system.install(packages["weir_0.9.0"], packages["weir-dev_0.9.0"])
    system.do("sh", "-c", "printf '#include <weir/plugin.h>\\n#include <weir/json.h>\\nint x;\\n' >/tmp/p.c && "
              "gcc -c -D_GNU_SOURCE $(pkg-config --cflags weir) -o /tmp/p.o /tmp/p.c")


def test_manual_pages():
    pages = [BUILD / "man" / "weir.8", BUILD / "man" / "weir.yaml.5"]
    for page in pages:
        if shutil.which("mandoc") or IN_CI:
            done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stdout
    text = pages[1].read_text().replace("\\-", "-")
    for name in ("service", "input", "output", "tail", "kafka", "stdout", "etcd"):
        code, out, _ = run(["plugins", name], ROOT)
        options = re.findall(r"^  ([a-z][a-z0-9_.*]*)$", out.decode(), re.M)
        assert code == 0 and options
        for option in options:
            assert ".B %s\n" % option in text, (name, option)
    code, out, _ = run(["--help"], ROOT)
    manual = pages[0].read_text().replace("\\-", "-")
    for word in re.findall(r"^  weir ([a-z][a-z-]+)|--([a-z]+)", out.decode(), re.M):
        assert word[0] + word[1] in manual, word


@pytest.mark.parametrize("typed, wanted", [
    ("weir ", {"check", "plugins", "status", "reload"}), ("weir -i ta", {"tail"}), ("weir -o ", {"kafka", "stdout"}),
    ("weir plugins st", {"stdout"}), ("weir -s log_l", {"log_level="}), ("weir -i tail -p read_fr", {"read_from_head="}),
    ("weir -i tail -o stdout -p form", {"format="}), ("weir --js", {"--json"})])
def test_completion_in_bash(typed, wanted):
    words = typed.split(" ")
    script = '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "-", ROOT / "packaging" / "completion.bash", *words], capture_output=True, text=True,
                          timeout=60, check=True, env={**os.environ, "PATH": "%s:%s" % (BUILD, os.environ["PATH"])})
    assert wanted <= set(done.stdout.split()), done.stdout + done.stderr
    assert len(words[-1]) == 0 or wanted == set(done.stdout.split())
