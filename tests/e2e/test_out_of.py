# SPDX-License-Identifier: Apache-2.0
"""No memory to be had while the sink stands still: nothing is lost, nothing ends, and it goes on when there is some."""
import os
import resource
from pathlib import Path

import pytest

import harness
from harness import append, lines

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
