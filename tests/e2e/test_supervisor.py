# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told (systemd's notification protocol), and the unit file."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import ROOT, append, line, lines, until


class Manager:
    """NOTIFY_SOCKET's other end."""

    def __init__(self, folder, abstract=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0weir-test-%d" % os.getpid() if abstract else str(folder / "notify"))
        self.name = "@weir-test-%d" % os.getpid() if abstract else str(folder / "notify")
        self.socket.setblocking(False)
        self.said = []

    def look(self):
        while True:
            try:
                self.said.append(dict(text.split("=", 1) for text in self.socket.recv(4096).decode().splitlines()))
            except BlockingIOError:
                return self.said

    def wait(self, key, count=1):
        until(lambda: sum(key in one for one in self.look()) >= count, lambda: "%s: %s" % (key, self.said))
        return [one for one in self.said if key in one]


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_ready_reload_stop(lab, abstract):
    manager = Manager(lab.folder, abstract)
    path = lab.path("a.log")
    append(path, lines(0, 10))
    weir = lab.tail(path, env={"NOTIFY_SOCKET": manager.name})
    assert manager.wait("READY")[0]["STATUS"] == "running, 1 inputs and 1 outputs"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    weir.signal(signal.SIGHUP)
    manager.wait("READY", 2)
    reloading = manager.wait("RELOADING")[0]
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    order = [next(iter(one)) for one in manager.said]
    assert order == ["READY", "RELOADING", "READY"]
    weir.stop()
    manager.wait("STOPPING")


def test_bad_reload_is_over_too(lab):
    """systemd would wait for READY in vain, and then stop it."""
    manager = Manager(lab.folder)
    weir = lab.tail(lab.path("a.log"), env={"NOTIFY_SOCKET": manager.name})
    manager.wait("READY")
    lab.path("weir.yaml").write_text("nonsense: [")
    weir.signal(signal.SIGHUP)
    manager.wait("READY", 2)
    weir.stop()


def test_watchdog(lab):
    manager = Manager(lab.folder)
    path = lab.path("a.log")
    weir = lab.tail(path, env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"})
    manager.wait("WATCHDOG", 5)  # each but the first because all loops have come round since the one before
    append(path, line(0))
    weir.wait_line(0)
    weir.stop()


def test_watchdog_of_another_process_is_none_of_ours(lab):
    manager = Manager(lab.folder)
    path = lab.path("a.log")
    weir = lab.tail(path, env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "10000", "WATCHDOG_PID": "1"})
    manager.wait("READY")
    for i in range(20):
        append(path, line(i))
        weir.wait_line(i)
    weir.stop()
    assert not [one for one in manager.look() if "WATCHDOG" in one]


@pytest.mark.parametrize("name", ["relative", "/nonexistent/socket", "@" + "x" * 200])
def test_socket_that_can_not_be_used(lab, name):
    path = lab.path("a.log")
    weir = lab.tail(path, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "10000"})
    append(path, line(0))
    weir.wait_line(0)
    weir.stop()


def test_unit_file():
    """systemd's own check; what it says of programs that are not installed here is left out."""
    unit = ROOT / "conf" / "weir.service"
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60,
                              check=False)
        said = [text for text in (done.stdout + done.stderr).splitlines()
                if "weir.service" in text and "is not executable" not in text]
        assert not said
    text = unit.read_text()
    for setting in ("Type=notify", "WatchdogSec=", "ExecReload=", "StateDirectory=weir", "NoNewPrivileges=yes"):
        assert setting in text
    command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE).group(1)
    assert command == "/usr/bin/weir -c /etc/weir/weir.yaml"
