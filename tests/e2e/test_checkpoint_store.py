# SPDX-License-Identifier: Apache-2.0
"""The place of the positions fails while weir runs: lines go on, and the positions are written once it is back."""
import http.client
import os
import subprocess

import pytest

import harness
from harness import append, line, lines, numbers
from test_admin import free_port


@pytest.fixture
def small_disk(lab):
    """A file system of its own, of one MiB."""
    folder = lab.path("disk")
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        why = "no mount here: " + done.stderr.decode(errors="replace").strip()
        (pytest.fail if harness.IN_CI else pytest.skip)(why)
    yield folder
    lab.finish()
    subprocess.run(["umount", "-l", folder], check=True)


def reasons(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/readyz")
    return connection.getresponse().read().decode()


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return path


def test_full_disk_holds_no_line_up_and_passes(lab, small_disk):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    port = free_port()
    service = {"http_server": True, "http_port": port, "data_dir": small_disk / "data", "checkpoint_interval": "50ms"}
    weir = lab.tail(path, name="first", service=service)
    weir.wait_line(9)
    ballast = fill(small_disk / "ballast")
    number = 10
    while "can't be written" not in weir.log_text():
        append(path, line(number))
        weir.wait_line(number)
        number += 1
        assert number < 100000, "the disk was never full for weir"
    append(path, lines(number, number + 1000))
    number += 1000
    weir.wait_line(number - 1)
    assert "checkpoint: positions can't be written now" in reasons(port)
    os.unlink(ballast)
    weir.wait_log("positions are written again")
    assert "checkpoint" not in reasons(port)
    weir.kill()
    append(path, line(number))
    again = lab.tail(path, name="again", service=service)
    found = numbers(again.wait_line(number))
    assert found[0] > 9 and found == list(range(found[0], number + 1)), "what was held back was never written"
    again.stop()
