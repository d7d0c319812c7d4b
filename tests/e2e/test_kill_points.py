# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at each named point of the code, and no line lost. scripts/kill-points is the long form."""
import os
import time

import pytest

import harness
import kill_points
from reload import stdout, tail

TIMES = int(os.environ.get("WEIR_KILL_TIMES", "1"))


@pytest.mark.one_build
def test_a_kill_at_each_point_loses_nothing(lab):
    seed = int(os.environ.get("WEIR_SEED", time.time_ns() & 0xFFFFFFFF))
    print("WEIR_SEED=%d" % seed)
    field = kill_points.Field(lab, seed)
    for point in os.environ.get("WEIR_KILL_ONLY", "").split() or kill_points.names(lab):
        if point.startswith("spool-"):
            continue  # test_spool_kills.py: a file that can be read again has none
        begin = time.monotonic()
        for _ in range(TIMES):
            field.kill_at(point)
        if TIMES > 1:
            field.settle("%s, seed %d" % (point, seed))
            print("%-22s %4d kills in %5.1f s; %9d lines so far, none lost, %d repeated" % (
                point, TIMES, time.monotonic() - begin, field.steady.written + field.other.written,
                field.steady.repeated + field.other.repeated), flush=True)
    field.settle("seed %d" % seed)


def test_points_are_where_the_documents_say(lab):
    """Those of the issue at least: what is killed nowhere can't be lost anywhere."""
    found = kill_points.names(lab)
    assert len(set(found)) == len(found)
    for point in ("after-read", "after-enqueue", "after-delivery", "checkpoint-before", "checkpoint-within",
                  "checkpoint-after", "tail-rotated", "reload-applied", "drain-input"):
        assert point in found, found


@pytest.mark.parametrize("asked", ["", "after", "after-read:", "after-read:0", "after-read:x", "after-read:1x"])
def test_a_point_that_can_not_be_is_refused(lab, asked):
    config = lab.config([tail(lab.path("a.log"))], [stdout()])
    status, _, text = harness.run(["-c", config], lab.folder, env={"WEIR_KILL_POINT": asked})
    assert status == 1
    assert b"WEIR_KILL_POINT=" + asked.encode() + b": there is no such point" in text
    assert b" after-read" in text and b" tail-rotated" in text, "the core's and the plugin's are listed"
