# SPDX-License-Identifier: Apache-2.0
"""What weir may cost, where no clock is needed to tell: allocations in steady state, memory when idle."""
import os
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import append, lines, until

WIDTH, PIECE, PIECES = 100, 10_000, 100  # a million lines


class Reader(threading.Thread):
    """Counts the lines that come out of a pipe."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.seen = pipe, 0
        self.start()

    def run(self):
        while data := os.read(self.pipe, 1 << 20):
            self.seen += data.count(b"\n")


# Sanitizers have a malloc of their own.
@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="the sanitizer's malloc takes the place of the counter")
@pytest.mark.parametrize("form", ["raw", "json_lines"])
def test_no_allocation_in_steady_state(lab, form):
    """A line costs none: every call of malloc in the process is counted over a million lines."""
    path, counter = lab.path("a.log"), lab.path("count")
    counter.write_bytes(b"\0" * 8)
    path.write_bytes(b"")
    reader, writer = os.pipe()
    # What is written about positions once a second is SQLite's, and not the way of a line.
    weir = lab.tail(path, stdout=writer, preload=harness.BUILD / "tests" / "count_mallocs.so",
                    env={"MALLOC_COUNT": str(counter)}, service={"checkpoint_interval": "1h"},
                    output={"format": form})
    os.close(writer)
    piece = lines(0, PIECE, WIDTH)
    # Nobody takes anything yet, so that once there are as many chunks as can be under way at a time.
    append(path, piece)
    until(lambda: weir.bytes_read() > len(piece), "it has read a whole piece")
    out, sent = Reader(reader), PIECE

    def count():
        return struct.unpack("=Q", counter.read_bytes())[0]

    def send(pieces):
        nonlocal sent
        for _ in range(pieces):
            append(path, piece)
            sent += PIECE
            until(lambda: out.seen >= sent, lambda: "%d lines; %d came: %s" % (sent, out.seen, weir.log_text()))

    send(PIECES // 5)  # buffers have grown to their size
    before = count()
    assert before > 100, "nothing was counted: is the counter loaded?"
    send(PIECES)
    taken = count() - before
    weir.stop()
    os.close(reader)
    assert taken <= 10, "%d allocations for %d lines" % (taken, PIECE * PIECES)


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers take memory of their own")
def test_idle_memory(lab):
    """One idle file to stdout: at most 6 MB, libraries and all, so none is loaded that is not needed."""
    lab.path("a.log").write_bytes(lines(0, 1))
    weir = lab.tail(lab.path("a.log"))
    weir.wait_line(0)
    maps = Path("/proc/%d/maps" % weir.pid).read_text()
    assert "libsqlite3" in maps
    assert "libmicrohttpd" not in maps and "libgnutls" not in maps
    assert weir.memory() <= 6 << 20
    weir.stop()


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers take memory of their own")
@pytest.mark.parametrize("data_dir", ["", "data"], ids=["no-store", "store"])
def test_a_burst_leaves_nothing(lab, data_dir):
    """A full queue's memory goes back once it was delivered, whether positions are written or not; and then nothing wakes weir up."""
    count, path = 600_000, lab.path("a.log")
    path.write_bytes(lines(0, count, WIDTH))
    reader, writer = os.pipe()
    weir = lab.tail(path, stdout=writer, service={"data_dir": data_dir and str(lab.path(data_dir))}, output={"queue_size": "40M"})
    os.close(writer)
    until(lambda: weir.memory() > 32 << 20, lambda: "the queue is full: %d" % weir.memory())
    out = Reader(reader)
    until(lambda: out.seen == count, lambda: "all lines: %d; %s" % (out.seen, weir.log_text()))
    until(lambda: weir.memory() < 18 << 20, lambda: "memory goes back: %d" % weir.memory())
    quiet = {"since": time.monotonic(), "switches": weir.switches()}

    def look():
        now = weir.switches()
        if now != quiet["switches"]:
            quiet.update(since=time.monotonic(), switches=now)
        return time.monotonic() - quiet["since"] >= 1.5
    until(look, "longer than between two looks without a wake-up")
    weir.stop()
    os.close(reader)


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="the program is the same")
def test_admin_address_without_its_library(lab):
    """A program that looks for a library that is not there says what is missing, and does not start."""
    program = lab.path("weir")
    program.write_bytes(harness.WEIR.read_bytes().replace(b"libmicrohttpd.so.12\0", b"libmicrohttpd.so.99\0"))
    program.chmod(0o755)
    config = lab.config([{"name": "tail", "path": lab.path("a.log")}], [{"name": "stdout", "match": "*"}],
                        {"http_server": True, "http_listen": "unix:%s" % lab.path("admin")})
    done = subprocess.run([str(program), "-c", str(config)], cwd=lab.folder, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=harness.DEADLINE, check=False,
                          env={**os.environ, "WEIR_PLUGIN_PATH": str(harness.BUILD / "plugins")})
    assert done.returncode == 2
    assert "libmicrohttpd can't be loaded" in done.stderr and "http_server" in done.stderr
