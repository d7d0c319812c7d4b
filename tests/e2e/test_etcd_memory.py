# SPDX-License-Identifier: Apache-2.0
"""What an entry in etcd takes of memory, in bytes that malloc has given out: that is no matter of time or of the machine."""
import signal

import pytest

import harness
from etcd_agent import KEY, entry
from harness import line, until

pytest_plugins = ["etcd_fixtures"]

# Measured: 2,670 to 2,676, with a file that is open, what tables have in reserve, and the value as it was put.
MOST_BYTES = 2900


def heap(weir, report):
    report.unlink(missing_ok=True)
    weir.signal(signal.SIGUSR2)
    return int(until(lambda: report.exists() and report.read_text(), "the size of the heap"))


@pytest.mark.one_build
def test_an_entry_takes_little_memory(lab, etcd, agent):
    """Two thousand entries, of a file each in a few directories, take no more than so many bytes each."""
    paths = []
    for number in range(2000):
        paths.append(lab.path("d%d/%d.log" % (number // 100, number)))
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_bytes(line(number))
    report = lab.path("heap")
    weir = agent(service={"memory_limit": "1M"},  # which bounds what the pool keeps, however slow the output is
                 preload=harness.BUILD / "tests" / "heap_used.so", env={"WEIR_TEST_HEAP": str(report)})
    weir.wait_applied(etcd.quick_put(KEY, []))
    before = min(heap(weir.weir, report) for _ in range(5))
    etcd.quick_put(KEY, [entry(path) for path in paths])
    weir.weir.wait_output(lambda data: data.count(b"\n") == len(paths), "%d lines" % len(paths))
    weir.wait_inputs(paths)
    seen = []

    def fits():  # what only passes through is given back a moment later
        seen.append((heap(weir.weir, report) - before) / len(paths))
        return seen[-1] <= MOST_BYTES
    until(fits, lambda: "at most %d bytes for each entry; there are %d" % (MOST_BYTES, min(seen)))
    print("%d bytes for each entry" % min(seen))
