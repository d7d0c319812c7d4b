# SPDX-License-Identifier: Apache-2.0
"""No memory to be had while the sink stands still, or no thread: nothing is lost, nothing ends, and it goes on when there is some."""
import os
import resource
import subprocess
from pathlib import Path

import pytest

import harness
from harness import append, lines, until
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


USER = 4343  # nobody else's


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
