# SPDX-License-Identifier: Apache-2.0
"""The short form of tests/soak: all that it does, without Kafka, for some seconds."""
import json
import os
import subprocess

import pytest

import harness

pytest_plugins = ["etcd_fixtures"]


@pytest.mark.one_build
def test_a_short_soak_loses_nothing(etcd_ready, tmp_path):
    report = tmp_path / "report.json"
    done = subprocess.run(
        [str(harness.ROOT / "tests" / "soak"), "--duration", "6s", "--rate", "3000", "--build", str(harness.BUILD), "--report",
         str(report)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["written"] > 3000 and found["arrived"] == found["written"] + found["repeated"]
    assert found["lost"] == 0 and not found["damaged"] and not found["trouble"]
    assert found["repeated"] == 0, "nothing was killed"
    assert all(found["events"][event] > 0 for event in ("rotations", "reloads", "etcd_changes")), found["events"]
    assert found["samples"] and found["samples"][-1]["memory"] > 0
