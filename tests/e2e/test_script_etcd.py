# SPDX-License-Identifier: Apache-2.0
"""scripts/etcd, which development and the quickstart have their etcd from."""
import os
import pathlib
import subprocess

import pytest

from ports import free_ports

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "etcd"


@pytest.fixture
def script(tmp_path):
    folder = tmp_path / "etcd"
    environment = {**os.environ, "ETCD_NAME": "other", "ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:1"}

    def run(command, *args, status=0):
        done = subprocess.run([SCRIPT, command, "--dir", folder, *map(str, args)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90, check=False,
                              env=environment)
        assert done.returncode == status, done.stdout
        return done.stdout
    yield run
    if folder.exists():
        run("remove")


def free_first_port(nodes):
    """Each member has two ports, ten above those of the one before."""
    return free_ports(10 * nodes)[0]


def running(folder):
    """The processes whose command names that folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path] * (str(folder).encode() in path.read_bytes())
        except OSError:
            pass  # it has just ended
    return found


@pytest.mark.one_build
def test_three_members(script):
    first = free_first_port(3)
    said = script("start", "--port", first, "--nodes", 3, "--no-install")
    assert all("http://127.0.0.1:%d" % (first + 10 * node) in said for node in range(3))
    script("ctl", "--command-timeout", "60s", "put", "key", "value")
    script("kill", "--node", 2)
    assert "node2: stopped" in script("status", status=3)
    assert "value" in script("ctl", "--command-timeout", "60s", "get", "key")
    script("start", "--node", 2)
    script("pause", "--node", 1)
    assert "node1: paused" in script("status")
    script("resume", "--node", 1)
    script("stop")
    assert script("status", status=3).count("stopped") == 3
    script("start")
    assert "value" in script("ctl", "--command-timeout", "60s", "get", "key")
    assert "holds an etcd already" in script("start", "--port", first, status=1)
    assert "--node 4" in script("kill", "--node", 4, status=1)


@pytest.mark.one_build
def test_ends_with_its_folder(script, tmp_path):
    port = free_first_port(1)
    assert "holds no etcd" in script("status", status=1)
    script("start", "--port", port, "--set", "--quota-backend-bytes=16000000")
    assert "is taken" in subprocess.run([SCRIPT, "start", "--dir", tmp_path / "second", "--port", str(port)], timeout=90,
                                        capture_output=True, text=True, check=False).stderr
    script("remove")
    assert not (tmp_path / "etcd").exists()
    assert "holds no etcd" in script("ctl", "get", "x", status=1)
    assert not running(tmp_path / "etcd")  # of the port nothing can be said: whoever wants it may have it now
