# SPDX-License-Identifier: Apache-2.0
"""A sink that does not take anything: memory stays bounded, nothing is lost, and it is said."""
import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading

import pytest

import harness
from harness import Weir, append, line, lines, numbers, until

WIDTH = 200
MEBIBYTE = 1 << 20
QUICK_RETRY = {"scheduler.base": "10ms", "scheduler.cap": "100ms"}


def waiting(pipe):
    """Bytes in a pipe."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


class Stalled:
    """A weir whose standard output is a pipe that nobody reads yet."""

    def __init__(self, lab, path, **options):
        self.reader, write_end = os.pipe()
        self.weir = lab.tail(path, stdout=write_end, **options)
        os.close(write_end)

    def wait_full(self):
        """Until the pipe is full and weir has stopped reading the file: it sleeps, and goes on sleeping."""
        until(lambda: waiting(self.reader) >= 60000, "the pipe fills up")
        state = {"io": None, "same": 0}

        def settled():
            now = self.weir.bytes_read()
            state["same"] = state["same"] + 1 if now == state["io"] else 0
            state["io"] = now
            return state["same"] >= 50
        until(settled, "weir stops reading")

    def take(self, size):
        """Reads that much."""
        data = bytearray()
        while len(data) < size:
            data += os.read(self.reader, size - len(data))
        return bytes(data)

    def drain(self, end):
        """Reads until the data ends with `end`, or the pipe does."""
        data = bytearray()
        while not data.endswith(end):
            part = os.read(self.reader, MEBIBYTE)
            if not part:
                break
            data += part
        return bytes(data)

    def close(self):
        os.close(self.reader)


def test_stalled_pipe_memory_is_bounded_and_a_deleted_file_comes_out(lab):
    count = harness.scaled(1000000, 100000)
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    stalled = Stalled(lab, path, service={"memory_limit": "16M"})
    stalled.wait_full()
    path.unlink()
    if not harness.SANITIZER:
        # 16 MB of chunks, and what the program itself takes: far from the 200 MB of the file.
        assert stalled.weir.memory() < 48 * MEBIBYTE
    assert stalled.weir.running()
    data = stalled.drain(line(count - 1, WIDTH))
    assert data == lines(0, count, WIDTH)
    stalled.weir.stop()
    stalled.close()


def stop_once(weir):
    weir.signal(signal.SIGTERM)
    weir.wait(0)


def stop_twice(weir):
    weir.signal(signal.SIGTERM)
    weir.wait_log("stopping")
    weir.signal(signal.SIGTERM)
    weir.wait(0)


@pytest.mark.parametrize("stop,grace", [(stop_once, "200ms"), (stop_twice, "1h"), (Weir.kill, "1h")],
                         ids=["given-up-after-grace", "second-signal-ends-at-once", "kill-9"])
def test_end_with_a_stalled_pipe_loses_nothing(lab, stop, grace):
    """Some chunks were taken, some are in the pipe, some in the queue: what was not taken comes after the next start."""
    count = harness.scaled(100000, 30000)
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    stalled = Stalled(lab, path, service={"grace": grace, "checkpoint_interval": "10ms"}, name="first")
    taken = stalled.take(count * WIDTH // 2)
    stalled.wait_full()
    until(lambda: any((harness.kept_offsets(lab.path("data")) or {}).values()), "a position is kept")
    stop(stalled.weir)
    first = numbers(harness.whole_lines(taken + stalled.drain(b"never")), WIDTH)
    stalled.close()
    assert first == list(range(len(first)))
    second = lab.tail(path, name="second")
    data = numbers(second.wait_line(count - 1, WIDTH), WIDTH)
    second.stop()
    assert data == list(range(data[0], count))
    assert data[0] <= len(first), "lines between the runs are lost"
    assert data[0] > 0, "what was taken was not remembered"


def test_reader_that_goes_away_is_a_clear_end(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    stalled = Stalled(lab, path)
    stalled.drain(line(999, WIDTH))
    stalled.close()
    append(path, line(1000, WIDTH))
    stalled.weir.wait(3)
    said = [entry for entry in stalled.weir.log_text().splitlines() if " error " in entry]
    assert len(said) == 1 and "standard output" in said[0], stalled.weir.log_text()
    # What nobody read any more is written after the next start.
    again = lab.tail(path, name="again")
    assert again.wait_line(1000, WIDTH).endswith(line(1000, WIDTH))
    again.stop()


def test_closed_standard_output(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10))
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" >&-', str(harness.WEIR), "-i", "tail", "-p", "path=%s" % path, "-p",
         "read_from_head=true", "-p", "exit_on_eof=true", "-o", "stdout"],
        cwd=lab.folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=harness.DEADLINE, check=False)
    assert done.returncode in (2, 3), done.stderr
    assert b"standard output" in done.stderr


def test_full_disk_is_said_and_nothing_is_committed(lab):
    """/dev/full takes nothing, ever: it is retried, and after a stop all is still to be written."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000))
    with open("/dev/full", "wb") as full:
        weir = lab.tail(path, name="full", stdout=full, service={"grace": "100ms", **QUICK_RETRY})
    weir.wait_log("No space left on device")
    assert weir.running()
    weir.stop()
    weir = lab.tail(path, name="again")
    assert weir.wait_line(999) == lines(0, 1000)
    weir.stop()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "weir-test", str(folder)], capture_output=True,
                          check=False)
    if done.returncode != 0:
        pytest.skip("no right to mount a small file system: " + done.stderr.decode().strip())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_disk_that_has_room_again(lab, small_disk):
    """No line is lost, cut or written twice over the gap."""
    path = lab.path("in.log")
    count = 10000
    path.write_bytes(lines(0, count, WIDTH))
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * (3 * MEBIBYTE + 123))
    out = small_disk / "out"
    with open(out, "wb") as file:
        weir = lab.tail(path, stdout=file, service=QUICK_RETRY)
    weir.wait_log("No space left on device")
    assert out.stat().st_size < count * WIDTH
    ballast.unlink()
    until(lambda: out.stat().st_size >= count * WIDTH, "the rest is written")
    weir.stop()
    assert out.read_bytes() == lines(0, count, WIDTH)


def test_slow_reader_gets_everything_in_order(lab):
    """A reader that takes odd small bites all the time: partial writes go on where they ended."""
    count = 3000
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    stalled = Stalled(lab, path, exit_on_eof=True)
    data = []

    def read():
        size = 1
        while True:
            part = os.read(stalled.reader, size)
            if not part:
                return
            data.append(part)
            size = size % 4099 + 7
    reader = threading.Thread(target=read)
    reader.start()
    stalled.weir.wait(0)
    reader.join()
    stalled.close()
    assert b"".join(data) == lines(0, count, WIDTH)
