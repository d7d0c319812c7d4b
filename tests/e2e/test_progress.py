# SPDX-License-Identifier: Apache-2.0
"""The progress bar: on a terminal, with exit_on_eof, and nowhere else."""
import fcntl
import os
import pty
import struct
import termios
import threading

import harness
from harness import lines, until


class Terminal:
    """The other end of a terminal; what was written to it so far."""

    def __init__(self, columns=80):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.seen = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:  # EIO: every slave is closed
                return
            if not part:
                return
            self.seen += part

    def close(self):
        os.close(self.slave)
        self.thread.join(harness.DEADLINE)
        os.close(self.master)
        return self.seen


def start(lab, stderr, **options):
    """weir, stalled on its standard output, so that it is in the middle of the file for as long as we like."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, harness.scaled(100000, 20000), 200))
    reader, writer = os.pipe()
    weir = lab.tail(path, stdout=writer, stderr=stderr, service={"memory_limit": "1M", "log_level": "warn"}, **options)
    os.close(writer)
    return weir, reader


def drain(reader):
    while os.read(reader, 1 << 20):
        pass
    os.close(reader)


def test_bar_on_a_terminal(lab):
    terminal = Terminal()
    weir, reader = start(lab, terminal.slave, exit_on_eof=True)
    until(lambda: b"%" in terminal.seen, lambda: "a bar, in %r" % terminal.seen)
    drain(reader)
    weir.wait(0)
    seen = terminal.close()
    assert b"100 %" in seen
    assert b"/s" in seen  # the rate
    # It is drawn over itself, and is no wider than the terminal.
    assert b"\r" in seen
    for part in seen.replace(b"\n", b"\r").split(b"\r"):
        text = part.replace(b"\x1b[K", b"").replace(b"\x1b[2K", b"").decode(errors="replace")
        assert len(text) <= 80, text


def test_no_bar_without_exit_on_eof(lab):
    terminal = Terminal()
    weir, reader = start(lab, terminal.slave)
    os.read(reader, 1000)
    weir.signal(15)
    weir.process.stdout = None
    drain(reader)
    weir.wait(0)
    assert b"%" not in terminal.close()


def test_no_bar_without_a_terminal(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 50000, 200))
    weir = lab.tail(path, exit_on_eof=True)
    weir.wait(0)
    assert "%" not in weir.log_text() and "\r" not in weir.log_text() and "\x1b" not in weir.log_text()
