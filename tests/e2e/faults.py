# SPDX-License-Identifier: Apache-2.0
"""weir with calls of the C library that fail (tests/faults/faults.c); every line is numbered and counted."""
import itertools
import shutil
import signal
import sqlite3
import threading
import time

import harness
from harness import append, lines, numbers, whole_lines
from reload import stdout, tail

LIBRARY = harness.BUILD / "tests" / "faults.so"
# The errno that a single failure has, one after another.
ERRORS = {"malloc": ["ENOMEM"], "read": ["EIO", "EINTR", "ENOMEM"], "write": ["ENOSPC", "EIO", "EINTR"],
          "open": ["EMFILE", "ENFILE", "EIO", "ENOMEM"], "fsync": ["EIO", "ENOSPC"],
          "inotify_add_watch": ["ENOSPC", "ENOMEM"], "epoll_wait": ["EINTR"], "epoll_ctl": ["ENOMEM", "ENOSPC"],
          "mmap": ["ENOMEM"], "dlopen": ["ENOMEM"], "connect": ["ECONNREFUSED"], "pthread_create": ["EAGAIN"]}
SERVICE = {"checkpoint_interval": "20ms", "scheduler.base": "10ms", "scheduler.cap": "100ms"}


def stored_inodes(store):
    try:
        found = sqlite3.connect("file:%s?mode=ro" % store, uri=True, timeout=0.1)
    except sqlite3.Error:
        return set()
    try:
        return {int(key.split(":")[1], 16) for key, in found.execute("SELECT \"key\" FROM stream")}
    except sqlite3.Error:
        return set()
    finally:
        found.close()


class Trial:
    """One weir with faults, through a start, a rotation, a change of its inputs and a stop; then one without them."""
    numbers = itertools.count()
    lock = threading.Lock()

    def __init__(self, lab, etcd=None):
        with self.lock:
            number = next(self.numbers)
        self.lab, self.etcd = lab, etcd
        self.folder = lab.path("trial%d" % number)
        (self.folder / "logs").mkdir(parents=True)
        self.key = self.folder.name
        self.path, self.other = self.folder / "logs" / "app.log", self.folder / "logs" / "other.log"
        self.written = 0
        self.fired = self.from_rotation = False
        self.write(self.path)
        self.write(self.other)
        self.configure(False)

    def configure(self, other):
        inputs = [self.path] + ([self.other] if other else [])
        service = {**SERVICE, "data_dir": self.folder / "data"}
        options = {"refresh_interval": "200ms", "rotate_wait": "100ms"}
        if self.etcd:
            self.etcd.quick_put(self.key, [{"path": str(path), "topic": "t", "read_from_head": True, **options}
                                           for path in inputs])
            sources = [{"name": "etcd", "alias": "source", "endpoints": self.etcd.endpoints(), "key": self.key, "tag": "t",
                        "allow_path": [str(self.folder / "**")], "ping_interval": "300ms", "request_timeout": "1s",
                        "connect_timeout": "1s"}]
        else:
            sources = [tail(path, alias=path.stem, **options) for path in inputs]
        self.config = self.folder / "weir.yaml"
        self.config.write_text(harness.config_text(sources, [stdout()], service))

    def write(self, path):
        append(path, lines(self.written, self.written + 50))
        self.written += 50

    # -- Waiting, for as long as it lives --

    def came(self):
        found = set()
        for name in ("faulty", "plain"):
            path = self.folder / (name + ".out")
            if path.exists():
                found.update(numbers(whole_lines(path.read_bytes())))
        return found

    def waits(self, weir, condition, what):
        """Whether it held; False: weir has ended."""
        end = time.monotonic() + harness.DEADLINE
        while not condition():
            if not weir.running():
                return False
            assert time.monotonic() < end, "waited in vain for %s\n%s" % (what, weir.log_text()[-3000:])
            time.sleep(0.01)
        return True

    # -- Both runs --

    def steps(self, weir):
        first = set(range(50))
        if not self.waits(weir, lambda: first <= self.came(), "the first lines"):
            return
        store = self.folder / "data" / "checkpoint.db"
        inode = self.path.stat().st_ino
        if not self.waits(weir, lambda: inode in stored_inodes(store), "the file's position"):
            return
        if self.from_rotation:
            weir.signal(signal.SIGRTMIN)
        aside = self.path.with_name("app.log.1")
        self.path.rename(aside)
        self.write(aside)
        self.write(self.path)
        rotated = set(range(100, 200))
        if not self.waits(weir, lambda: rotated <= self.came(), "both sides of the rotation"):
            return
        self.configure(True)
        if not self.etcd:
            weir.signal(signal.SIGHUP)
        self.write(self.path)
        end = time.monotonic() + harness.DEADLINE
        again = time.monotonic() + 0.5
        while set(range(self.written)) - self.came() and weir.running():
            assert time.monotonic() < end, "waited in vain for the second input\n" + weir.log_text()[-3000:]
            if not self.etcd and time.monotonic() > again:
                weir.signal(signal.SIGHUP)  # a reload that failed says so, and changes nothing
                again += 0.5
            time.sleep(0.01)

    def run(self, **env):
        self.from_rotation = "WEIR_FAULT_FROM_SIGNAL" in env
        weir = harness.Weir(self.folder, ["-c", self.config], name="faulty", preload=LIBRARY, env=env)
        try:
            self.steps(weir)
            if weir.running():
                weir.signal(signal.SIGTERM)
                try:
                    weir.process.wait(harness.DEADLINE)
                except Exception:
                    raise AssertionError("it does not stop\n" + weir.log_text()[-3000:]) from None
        finally:
            if weir.running():
                weir.process.kill()
            weir.process.wait()
        text, status = weir.log_text(), weir.process.returncode
        self.fired = "fault: " in text
        # weir ends itself where it can't go on without passing something over; glibc, where a library's variables find no room
        ends = status == -signal.SIGABRT and "ending at once" in text
        ends = ends or (status == 127 and "cannot allocate memory for thread-local data" in text)
        assert status in (0, 1, 2, 3) or ends, \
            "status %d\n%s" % (status, text[-3000:])
        assert status in (0, 127) or "error" in text, "status %d without a word\n%s" % (status, text[-3000:])
        self.settle(text)
        return status

    def settle(self, text):
        self.configure(True)
        self.write(self.path)
        weir = harness.Weir(self.folder, ["-c", self.config], name="plain")
        try:
            wanted = set(range(self.written))
            came = self.waits(weir, lambda: wanted <= self.came(), "lines that are missing; the log with faults:\n%s\nwithout:" % (
                text[-3000:]))
            assert came, "weir does not run without faults\n" + weir.log_text()
            weir.stop()
        finally:
            if weir.running():
                weir.process.kill()
                weir.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def counts(lab, etcd=None):
    """{call: how often a run without faults makes it}"""
    path = lab.path("counts%d" % time.time_ns())
    assert Trial(lab, etcd).run(WEIR_FAULT_COUNTS=str(path)) == 0
    return {name: int(number) for name, number in (text.split() for text in path.read_text().splitlines())}
