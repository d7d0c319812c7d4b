# SPDX-License-Identifier: Apache-2.0
"""In steady state a line costs no allocation: every call of malloc in the process is counted over a million lines."""
import os
import struct
import threading

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
    path, counter = lab.path("a.log"), lab.path("count")
    counter.write_bytes(b"\0" * 8)
    path.write_bytes(b"")
    reader, writer = os.pipe()
    # What is written about positions once a second is SQLite's, and not the way of a line.
    weir = lab.tail(path, stdout=writer, preload=harness.BUILD / "tests" / "count_mallocs.so",
                    env={"MALLOC_COUNT": str(counter)}, service={"checkpoint_interval": "1h"},
                    output={"format": form})
    os.close(writer)
    out, sent = Reader(reader), 0
    piece = lines(0, PIECE, WIDTH)

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
