# SPDX-License-Identifier: Apache-2.0
"""Fluent Bit's YAML files, unchanged: what both have works, what makes no sense here is a warning that says why."""
import json
import os
import shutil

import harness

DATA = harness.ROOT / "tests" / "e2e" / "data"


def run(lab, name):
    shutil.copy(DATA / name, lab.path(name))
    env = dict(os.environ, LOGS=str(lab.path("logs")))
    # Fluent Bit's files say nothing of data_dir, and the default is the system's.
    text = lab.path(name).read_text()
    lab.path(name).write_text(text.replace("service:\n", "service:\n  data_dir: %s\n" % lab.path("data"), 1))
    return harness.run(["-c", name], lab.folder, env=env)


def test_tail_to_stdout(lab):
    lab.path("logs").mkdir()
    (lab.path("logs") / "a.log").write_bytes(b"first\n\nsecond\n")
    (lab.path("logs") / "skip.log").write_bytes(b"not this\n")
    status, out, err = run(lab, "fluent-bit-tail-stdout.yaml")
    assert status == 0, err
    records = [json.loads(entry) for entry in out.splitlines()]
    assert [record["message"] for record in records] == ["first", "second"]
    assert [record["offset"] for record in records] == [0, 7]
    assert all(record["filename"] == str(lab.path("logs") / "a.log") for record in records)
    assert all("T" in record["time"] for record in records)
    said = err.decode()
    for word in ("flush", "daemon", "db", "parsers_file", "mem_buf_limit"):
        about = [entry for entry in said.splitlines() if "warn" in entry.lower() and "'%s'" % word in entry]
        assert len(about) == 1, "%s: %s" % (word, said)
        assert len(about[0]) > 60, "says no reason: " + about[0]
        assert word != "parsers_file" or "options of its own" in about[0], about[0]


def test_capitals_regex_and_variables(lab):
    lab.path("logs").mkdir()
    (lab.path("logs") / "access.txt").write_bytes(b"GET /\n")
    (lab.path("logs") / "slow.txt").write_bytes(b"SELECT\n")
    status, out, err = run(lab, "fluent-bit-two-inputs.yaml")
    assert status == 0, err
    assert sorted(json.loads(entry)["log"] for entry in out.splitlines()) == ["GET /", "SELECT"]
