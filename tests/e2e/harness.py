# SPDX-License-Identifier: Apache-2.0
"""Starting weir, writing files for it, and waiting for what it does.

Nothing here sleeps for a number of seconds to let something happen: `until` looks for an event, with a deadline.
"""
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WEIR_BUILD_DIR", ROOT / "build"))
if not BUILD.is_absolute():
    BUILD = (ROOT / BUILD).resolve()
WEIR = BUILD / "weir"
TEST_PLUGINS = BUILD / "tests" / "plugins"
SCALE = float(os.environ.get("WEIR_TEST_SCALE", "1"))
IN_CI = os.environ.get("CI", "").lower() == "true"


def _sanitizer():
    try:
        for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
            if line.startswith("WEIR_SANITIZE:"):
                return line.split("=", 1)[1]
    except OSError:
        pass
    return ""


SANITIZER = _sanitizer()
DEADLINE = 180 if SANITIZER else 90  # seconds that only a hang reaches, also where the machine does other things
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def scaled(number, least=1):
    """`number` at WEIR_TEST_SCALE 1, fewer below, never under `least`."""
    return max(least, int(number * SCALE))


def until(condition, what, deadline=None):
    """Waits until condition() is true and returns what it returned. `what` is a text, or makes one. Of a look that takes longer than a
    second, only that counts for the deadline: the machine itself may stand still."""
    left = deadline or DEADLINE
    while True:
        begin = time.monotonic()
        value = condition()
        if value:
            return value
        if left < 0:
            raise AssertionError("waited in vain: " + (what() if callable(what) else what))
        time.sleep(0.004)
        left -= min(1, time.monotonic() - begin)


def line(number, width=0):
    """A line (with its newline) that can be told from every other, and from a damaged one."""
    body = b"%09d " % number
    body += b"%08x" % zlib.crc32(body)
    return body + b" " + b"x" * max(0, width - len(body) - 2) + b"\n" if width else body + b"\n"


def lines(begin, end, width=0):
    return b"".join(line(number, width) for number in range(begin, end))


def numbers(data, width=0):
    """The numbers of the lines in data, in order; fails at one that is damaged or cut."""
    found = []
    for text in data.splitlines(keepends=True):
        try:
            number = int(text[:9])
        except ValueError:
            raise AssertionError("no line of ours: %r" % text[:80]) from None
        assert text == line(number, width), "damaged: %r" % text[:80]
        found.append(number)
    return found


def whole_lines(data):
    """Without what follows the last newline: a kill may cut the last write."""
    return data[: data.rfind(b"\n") + 1]


def kept_offsets(data_dir):
    """{input and key of a stream: up to where it was acknowledged}, as the store in data_dir has it; None: can't be read now."""
    try:
        store = sqlite3.connect("file:%s?mode=ro" % (data_dir / "checkpoint.db"), uri=True, timeout=0.1)
    except sqlite3.Error:
        return None
    try:
        return {(name, key): offset for name, key, offset in store.execute('SELECT input, "key", "offset" FROM stream')}
    except sqlite3.Error as error:
        # Killed while the store was being made: there is nothing in it, and only who may write can roll that back.
        half_made = "readonly" in str(error) and (data_dir / "checkpoint.db-journal").exists()
        return {} if half_made or "no such table" in str(error) else None
    finally:
        store.close()


def append(path, data):
    with open(path, "ab", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view):]


class Writer(threading.Thread):
    """Appends numbered lines at a rate, from its own thread, until stopped. `written` counts whole lines."""

    def __init__(self, path, rate, first=0, width=0):
        super().__init__(daemon=True)
        self.path, self.rate, self.first, self.width = path, rate, first, width
        self.written = first
        self._stop_asked = threading.Event()
        self.start()

    def run(self):
        begin = time.monotonic()
        with open(self.path, "ab", buffering=0) as file:
            while not self._stop_asked.is_set():
                due = self.first + int((time.monotonic() - begin) * self.rate)
                if due > self.written:
                    file.write(lines(self.written, due, self.width))
                    self.written = due
                self._stop_asked.wait(0.002)

    def stop(self):
        """The number of the next line."""
        self._stop_asked.set()
        self.join()
        return self.written


class Weir:
    """One running weir. Its standard output goes to the file `out` (or where `stdout` says), its log to `log`. `wrapper`: a program
    that executes what follows it. `program`: a copy of weir."""

    def __init__(self, folder, args, stdout=None, name="weir", env=None, stderr=None, preload=None, umask=-1,
                 wrapper=(), program=None):
        self.out = folder / (name + ".out")
        self.log = folder / (name + ".err")  # not .log: tests follow *.log
        environment = dict(os.environ)
        environment.update(env or {})
        if preload:
            environment["LD_PRELOAD"] = str(preload)
            environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        out = open(self.out, "ab") if stdout is None else None
        log = open(self.log, "ab") if stderr is None else None
        try:
            self.process = subprocess.Popen(
                [*wrapper, str(program or WEIR), *map(str, args)], stdin=subprocess.DEVNULL, stdout=out if out else stdout,
                stderr=log if log else stderr, cwd=folder, env=environment, umask=umask)
        finally:
            for file in (out, log):
                if file:
                    file.close()
        self.pid = self.process.pid

    def output(self):
        return self.out.read_bytes() if self.out.exists() else b""

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, status=0, deadline=None):
        """Waits for the end, which must come with that exit status (-9: killed)."""
        try:
            self.process.wait(deadline or DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError("weir still runs.\n" + self.log_text()[-4000:]) from None
        if status is not None:
            assert self.process.returncode == status, "exit status %d\n%s" % (
                self.process.returncode, self.log_text()[-4000:])
        return self.process.returncode

    def stop(self, status=0):
        self.signal(signal.SIGTERM)
        return self.wait(status)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait(-9)

    def wait_output(self, condition, what="output"):
        """Waits until condition(bytes so far) holds; returns those bytes. They may end within a line: what weir writes at once
        may be seen in parts."""
        found = []

        def look():
            ended = not self.running()
            found[:] = [self.output()]
            if condition(found[0]):
                return True
            assert not ended, "weir has ended: " + self.log_text()[-4000:]
            return False
        until(look, lambda: "%s; %d bytes, ending in %r; log: %s" % (
            what, len(self.output()), self.output()[-120:], self.log_text()[-2000:]))
        return found[0]

    def wait_line(self, number, width=0):
        """Waits until that line is the last one of the output; returns the output. Only where nothing else may come behind it: of
        several files, or after a kill, any order will do."""
        end = line(number, width)
        return self.wait_output(lambda data: data.endswith(end), "line %d" % number)

    def wait_log(self, text):
        until(lambda: text in self.log_text(), lambda: "'%s' in the log, which is: %s" % (text, self.log_text()))

    def freeze(self):
        """Until thaw. A signal is on its way for a moment: here every thread stands still."""
        self.signal(signal.SIGSTOP)
        until(lambda: all(self.kernel_status(task)["State"].startswith("T") for task in self.threads()), "that it stands still")

    def thaw(self):
        self.signal(signal.SIGCONT)

    # -- What the kernel says of it --

    def memory(self):
        """Resident bytes."""
        for entry in Path("/proc/%d/status" % self.pid).read_text().splitlines():
            if entry.startswith("VmRSS:"):
                return int(entry.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def kernel_status(self, task=None):
        """/proc/PID/status (or that of one of its threads) as {name: text}"""
        path = Path("/proc/%d/%sstatus" % (self.pid, "task/%s/" % task if task else ""))
        return dict(row.split(":\t", 1) for row in path.read_text().splitlines() if ":\t" in row)

    def bytes_read(self):
        """By all its reads, of whatever."""
        return int(Path("/proc/%d/io" % self.pid).read_text().split()[1])

    def threads(self):
        return os.listdir("/proc/%d/task" % self.pid)

    def descriptors(self):
        """{number: what it is}"""
        found = {}
        folder = "/proc/%d/fd" % self.pid
        for name in os.listdir(folder):
            try:
                found[int(name)] = os.readlink(os.path.join(folder, name))
            except OSError:
                pass
        return found

    def has_open(self, path):
        return str(path) in self.descriptors().values()

    def switches(self):
        """How often its threads went to sleep and were woken, all together."""
        total = 0
        for task in Path("/proc/%d/task" % self.pid).iterdir():
            for entry in (task / "status").read_text().splitlines():
                if "ctxt_switches" in entry:
                    total += int(entry.split()[1])
        return total


def config_text(inputs, outputs, service=None, plugins=(), plugin_dir=TEST_PLUGINS):
    """A configuration file's text. JSON is YAML. plugins: names of files in plugin_dir."""
    whole = {"service": dict(service or {}), "pipeline": {"inputs": inputs, "outputs": outputs}}
    if plugins:
        whole["plugins"] = [str(plugin_dir / (name + ".so")) for name in plugins]
    return json.dumps(whole, indent=2, default=str)


def run(args, folder, **kwargs):
    """Runs weir to its end; returns (status, stdout, stderr), both as bytes."""
    done = subprocess.run([str(WEIR), *map(str, args)], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=DEADLINE, check=False, **kwargs)
    for word in SANITIZER_WORDS:
        assert word.encode() not in done.stderr, done.stderr.decode(errors="replace")
    return done.returncode, done.stdout, done.stderr


if not WEIR.exists():
    sys.exit("%s does not exist: build it, or set WEIR_BUILD_DIR" % WEIR)
