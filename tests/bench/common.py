# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: runs in turn and what they took, logs, a weir that runs, a broker, and figures."""

import argparse
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HOST = "127.0.0.1"
PATIENCE = 60  # seconds, for anything

Result = namedtuple("Result", "seconds cpu memory said", defaults=[""])  # memory: the peak, in MB; said: its standard error


def parser_of(doc, runs=None, directory=True):
    """With the options that every benchmark has: --build, and where they mean something --runs and --dir."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), type=os.path.abspath, help="the build folder")
    if runs:
        parser.add_argument("--runs", type=int, default=runs, help="of each, after a warm-up")
    if directory:
        parser.add_argument("--dir", default=None, help="where files are made, and removed again")
    return parser


def need(build, *names):
    for name in names:
        path = os.path.join(build, name)
        if not os.path.exists(path):
            sys.exit(f"{path} is missing: build first, or name the folder with --build")


def load(name):
    """Another benchmark, as a module: they are programs without .py."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(HERE, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


# ---- Runs ----

class Failed(Exception):
    """A program that a benchmark needs did not do what it should."""


def measure(argv, build, to="null", cwd=None):
    """One run to its end; to: null, pipe, or a file, which is removed."""
    done = subprocess.run([os.path.join(build, "bench", "measure"), "--to", to, *argv], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)[:2000]}\nended with {done.returncode}: {done.stderr[-2000:]}")
    seconds, cpu, memory = done.stdout.split()
    return Result(float(seconds), float(cpu), int(memory) / 1024, done.stderr)


def in_turn(programs, runs, one_run):
    """{program: [Result, …]}, each once to warm up, then all of them in turn, so that the machine's moods hit all alike.
    one_run(program, number) makes one; number is 0 for the warm-up, whose results are not kept."""
    results = {program: [] for program in programs}
    for number in range(runs + 1):
        for program in programs:
            result = one_run(program, number)
            if number:
                results[program].append(result)
    return results


def median(values):
    return statistics.median(values)


def pairs(ours, theirs, part):
    """The ratios of a part of two programs' results (seconds, cpu, memory), run by run."""
    return [getattr(one, part) / max(getattr(other, part), 1e-9) for one, other in zip(ours, theirs)]


def percentile(values, part):
    """part: 0.5 for the median, 0.99, …"""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def weir_tail(build, path, *output, inputs=()):
    """A weir that reads what is there, delivers it, and ends."""
    argv = [os.path.join(build, "weir"), "-i", "tail", "-p", f"path={path}", "-p", "read_from_head=true", "-p",
            "exit_on_eof=true"]
    for option in inputs:
        argv += ["-p", option]
    argv += ["-o", output[0]]
    for option in output[1:]:
        argv += ["-p", option]
    return argv


def many(files):
    """in_tail's options for so many files: more than there may be descriptors are not all open at a time."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return {"max_open_files": limit // 2} if files > limit - 1000 else {}


# ---- Logs ----

def make_log(build, path, size, width=200, files=None):
    """An access log of about size bytes, whole lines, once; with files a folder of so many. Returns (bytes, lines)."""
    lines = (size + width - 1) // width
    if not os.path.exists(path):
        subprocess.run([os.path.join(build, "bench", "make_access_log"), str(size), path, str(width),
                        *([str(files)] if files else [])], check=True)
        os.sync()  # or the kernel writes the log to its disk beside the first runs
    return lines * width, lines


def parse_size(text):
    units = {"k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


@contextlib.contextmanager
def work_folder(args):
    with tempfile.TemporaryDirectory(prefix="weir-bench-", dir=args.dir) as folder:
        yield folder


# ---- What runs ----

def until(condition, what, alive=None):
    """Waits until condition() is true, and returns it; alive: a process without which it never will be."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > end or (alive and alive.poll() is not None):
            raise Failed(what() if callable(what) else what)
        time.sleep(0.002)
    return value


def free_ports(count):
    """Below those that the system hands out by itself."""
    with contextlib.ExitStack() as stack:
        found = []
        while len(found) < count:
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind((HOST, random.randrange(12000, 30000)))
                found.append(probe.getsockname()[1])
            except OSError:
                pass
        return found


class Process:
    """One that runs, and what the kernel says of it. It is killed at the end of a `with`, if it is still there."""

    def __init__(self, argv, log, **more):
        self.log = log
        self.begin = time.monotonic()
        with open(log, "ab") as file:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=file, **more)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def log_end(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def memory(self, what="VmRSS:"):
        """MB."""
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            return next(int(text.split()[1]) for text in file if text.startswith(what)) / 1024

    def cpu(self):
        """Seconds, to the nanosecond: what the scheduler counted for each thread."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="utf-8") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def wakeups(self):
        """How often its threads have gone to sleep."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{self.pid}/task/{task}/status", encoding="utf-8") as file:
                total += sum(int(text.split()[1]) for text in file if text.startswith("voluntary_ctxt"))
        return total

    def read_lines(self, count):
        """Until so many came."""
        seen, pipe = 0, self.process.stdout.fileno()
        while seen < count:
            ready, _, _ = select.select([pipe], [], [], PATIENCE)
            data = os.read(pipe, 1 << 20) if ready else b""
            if not data:
                raise Failed(f"{seen} of {count} lines came; the log ends with\n{self.log_end()}")
            seen += data.count(b"\n")
        return seen

    def stop(self):
        self.process.terminate()
        if self.process.wait(PATIENCE) != 0:
            raise Failed(f"it ended with status {self.process.returncode}:\n{self.log_end()}")


def write_config(path, inputs, outputs, **service):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"service": service, "pipeline": {"inputs": inputs, "outputs": outputs}}, file)
    return path


class Weir(Process):
    """A weir with a configuration; its standard output is a pipe, unless stdout says otherwise."""

    def __init__(self, build, folder, inputs, outputs, name="weir", stdout=subprocess.PIPE, **service):
        service.setdefault("data_dir", f"{folder}/{name}.data")
        config = write_config(f"{folder}/{name}.yaml", inputs, outputs, **service)
        super().__init__([os.path.join(build, "weir"), "-c", config], f"{folder}/{name}.log", stdout=stdout)


def _memory_folder():
    """A folder in memory where there is plenty of it, else None."""
    shared, least = "/dev/shm", 8 << 30
    if not os.access(shared, os.W_OK):
        return None
    room = os.statvfs(shared)
    with open("/proc/meminfo", encoding="ascii") as file:
        available = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
    return tempfile.mkdtemp(prefix="weir-bench-", dir=shared) if min(room.f_bavail * room.f_frsize, available) >= least else None


class Kafka:
    """One broker of its own, by scripts/kafka, from the first use to the end. Its log is in memory, where there is enough of it: on a
    disk of a virtual machine the same program has 215 or 403 MB/s, as the disk's writes go.
    """

    def __init__(self, folder, install=True):
        self.memory, (self.port,) = _memory_folder(), free_ports(1)
        self.dir = os.path.join(self.memory or folder, "kafka")
        self.brokers = f"{HOST}:{self.port}"
        done = self.script("start", "--port", str(self.port), "--set", "log.segment.delete.delay.ms=1000", *([] if install else ["--no-install"]))
        if done.returncode:
            self.close()
            raise Failed(f"no broker: {done.stdout}{done.stderr}")

    def script(self, command, *more):
        return subprocess.run([os.path.join(ROOT, "scripts", "kafka"), command, "--dir", self.dir, *more],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def close(self):
        self.script("remove")
        if self.memory:
            shutil.rmtree(self.memory, ignore_errors=True)


def topic(build, brokers, *words):
    """bench/topic: create NAME PARTITIONS, delete NAME, count NAME."""
    done = subprocess.run([os.path.join(build, "bench", "topic"), brokers, *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(done.stderr)
    return done.stdout
