# SPDX-License-Identifier: Apache-2.0
"""No memory to be had while the sink stands still, or no thread: nothing is lost, nothing ends, and it goes on when there is some."""
import itertools
import os
import resource
import subprocess
from pathlib import Path

import pytest

import harness
from harness import append, lines, numbers, until, whole_lines
from reload import Reloaded, stdout, tail

pytest_plugins = ["outside"]

WIDTH = 200


def address_space(weir):
    for entry in Path("/proc/%d/status" % weir.pid).read_text(encoding="utf-8").splitlines():
        if entry.startswith("VmSize:"):
            return int(entry.split()[1]) * 1024
    raise AssertionError("no VmSize")


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers need all of the address space")
def test_a_memory_limit_with_a_stalled_sink(lab):
    path, count = lab.path("in.log"), 100000
    append(path, lines(0, 1000, WIDTH))
    near, far = os.pipe()
    weir = lab.tail(path, stdout=far, output={"queue_size": "64M"}, refresh_interval="200ms")
    os.close(far)
    found = bytearray()
    with open(near, "rb", buffering=0) as pipe:
        while len(found) < len(lines(0, 1000, WIDTH)):
            found += pipe.read(1 << 16)
        limit = address_space(weir) + (4 << 20)
        resource.prlimit(weir.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        append(path, lines(1000, count, WIDTH))  # 20 MB, and nobody reads
        weir.wait_log("no memory to read on with")
        assert limit - (1 << 20) < address_space(weir) <= limit, "it took what there was"
        resource.prlimit(weir.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        while len(found) < count * WIDTH:
            part = pipe.read(1 << 16)
            assert part, weir.log_text()[-3000:]
            found += part
        weir.stop()
        found += pipe.read()
    assert found == lines(0, count, WIDTH)


class MemoryGroup:
    """A control group with so much memory, of version 2 or 1; `wrapper` begins a program in it."""

    numbers = itertools.count()

    def __init__(self, limit):
        root = Path("/sys/fs/cgroup")
        version_2 = (root / "cgroup.controllers").exists()
        self.folder = (root if version_2 else root / "memory") / ("weir-test-%d-%d" % (os.getpid(), next(self.numbers)))
        try:
            self.folder.mkdir()
            self.set("memory.max" if version_2 else "memory.limit_in_bytes", limit)
            if version_2:
                self.set("memory.swap.max", 0)
            elif (self.folder / "memory.memsw.limit_in_bytes").exists():
                self.set("memory.memsw.limit_in_bytes", limit)
            self.peak = self.folder / ("memory.peak" if version_2 else "memory.max_usage_in_bytes")
            self.peak.read_text()
        except OSError as error:
            self.remove()
            pytest.skip("no control group with a memory limit can be made here: %s" % error)
        self.wrapper = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.folder / "cgroup.procs")]

    def set(self, name, value):
        (self.folder / name).write_text(str(value))

    def remove(self):
        if self.folder.exists():
            until(self.is_gone, "the end of the control group")

    def is_gone(self):
        try:
            self.folder.rmdir()
        except OSError:  # what was in it is not quite gone
            return False
        return True


@pytest.fixture
def memory_group():
    """limit -> a MemoryGroup"""
    made = []

    def make(limit):  # of a test that names this fixture before `lab`: so weir has ended before the group does
        made.append(MemoryGroup(limit))
        return made[-1]
    yield make
    for group in made:
        group.remove()


def stalled(lab, group, size, **output):
    """A weir in the group whose output nobody reads, and `size` bytes of lines. Returns it with the pipe's end and how many lines."""
    path, count = lab.path("in.log"), size // WIDTH
    append(path, lines(0, count, WIDTH))
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # what weir reads of it counts for its group
    near, far = os.pipe()
    config = lab.config([tail(path)], [stdout(**output)], {"data_dir": lab.path("data"), "checkpoint_interval": "20ms"})
    weir = lab.start(["-c", config], stdout=far, wrapper=group.wrapper)
    os.close(far)
    return weir, open(near, "rb", buffering=0), count


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers take memory of their own")
def test_a_memory_group_with_a_stalled_sink(memory_group, lab):
    """What the queues may take lies below the limit, the page cache gives way: nothing is killed, nothing lost."""
    group = memory_group(40 << 20)
    weir, pipe, count = stalled(lab, group, 60 << 20)
    until(lambda: int(group.peak.read_text()) > 24 << 20, "the queue is full")
    found = bytearray()
    with pipe:
        while len(found) < count * WIDTH:
            part = pipe.read(1 << 20)
            assert part, "weir has ended with status %s\n%s" % (weir.process.poll(), weir.log_text()[-3000:])
            found += part
        weir.stop()
        found += pipe.read()
    assert found == lines(0, count, WIDTH)
    assert int(group.peak.read_text()) > 36 << 20, "it was never near the limit"


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers take memory of their own")
def test_a_queue_larger_than_the_memory_group(memory_group, lab):
    """The kernel kills it. What it had read and not delivered is read again."""
    group = memory_group(24 << 20)
    weir, pipe, count = stalled(lab, group, 60 << 20, queue_size="1G")
    with pipe:
        weir.wait(-9)
        before = pipe.read()
    after = lab.start(["-c", lab.path("weir.yaml")], name="after")
    after.wait_line(count - 1, WIDTH)
    after.stop()
    came = set(numbers(whole_lines(before), WIDTH)) | set(numbers(after.output(), WIDTH))
    assert came == set(range(count))


USER, ALONE = 4343, 4344  # nobody else's: a limit of threads counts all that a user has


def limit_threads(weir, soft):
    """As that user itself may: what it has beyond is refused."""
    text = "import resource, sys; r = resource; r.prlimit(int(sys.argv[1]), r.RLIMIT_NPROC, (int(sys.argv[2]), %d))" % (
        resource.getrlimit(resource.RLIMIT_NPROC)[1])
    subprocess.run(["/usr/bin/python3", "-c", text, str(weir.pid), str(soft)], user=USER, group=USER, extra_groups=[], check=True)


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers make threads of their own")
def test_no_thread_to_be_had(outside):
    """A reload that needs one is refused with the reason, and what runs goes on. Root has no such limit."""
    log, more = outside.beside("logs") / "a.log", outside.beside("more")
    for folder in (more, outside.folder):
        folder.chmod(0o777)
    append(log, lines(0, 1000))
    second = {"name": "reject", "alias": "more", "match": "*", "path": more / "lines"}
    weir = Reloaded(outside, [tail(log)], [stdout()], {"user": USER, "group": USER}, ["out_reject"])
    weir.weir.wait_line(999)
    limit_threads(weir.weir, len(weir.weir.threads()))
    weir.write([tail(log)], [stdout(), second])
    status, body = weir.ask("/api/v1/reload", "POST")
    assert status >= 400 and b"can't start a thread for output more: Resource temporarily unavailable" in body
    append(log, lines(1000, 2000))
    weir.weir.wait_line(1999)
    limit_threads(weir.weir, resource.getrlimit(resource.RLIMIT_NPROC)[1])
    assert weir.ask("/api/v1/reload", "POST")[0] == 200
    append(log, lines(2000, 3000))
    weir.weir.wait_line(2999)
    until((more / "lines").exists, "the second output")
    weir.weir.stop()
    assert weir.weir.output() == lines(0, 3000)


@pytest.mark.one_build
@pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers make threads of their own")
def test_no_thread_at_the_start(outside):
    """It says so and ends; nothing counts as read."""
    log = outside.beside("logs") / "a.log"
    outside.folder.chmod(0o777)
    append(log, lines(0, 1000))
    config = outside.config([tail(log)], [stdout()], {"data_dir": outside.folder / "data"})
    script = ("import os, resource as r, sys; r.setrlimit(r.RLIMIT_NPROC, (1, 1)); os.setgroups([]); os.setgid(%d); os.setuid(%d); "
              "os.execv(sys.argv[1], sys.argv[1:])" % (ALONE, ALONE))
    limited = ["/usr/bin/python3", "-c", script]
    weir = outside.start(["-c", config], wrapper=limited, program=outside.copy_of_weir())
    weir.wait(2)
    assert "Resource temporarily unavailable" in weir.log_text(), weir.log_text()
    script = script.replace("r.setrlimit(r.RLIMIT_NPROC, (1, 1)); ", "")
    after = outside.start(["-c", config], wrapper=["/usr/bin/python3", "-c", script], program=outside.copy_of_weir(), name="after")
    after.wait_line(999)
    after.stop()
    assert after.output() == lines(0, 1000)
