# SPDX-License-Identifier: Apache-2.0
"""Ends, exit statuses, what is left behind, and what weir does while nothing happens."""
import os
import re
import signal
import time

import pytest

import harness
from harness import append, line, lines, numbers, until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_in_order(lab, number):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000))
    weir = lab.tail(path)
    weir.wait_line(999)
    weir.signal(number)
    weir.wait(0)
    assert weir.output() == lines(0, 1000)


def test_signal_right_after_start(lab):
    """At any moment of the start it ends with status 0, or was not yet listening to signals."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000))
    for turn in range(harness.scaled(30, 5)):
        weir = lab.tail(path, name="run%d" % turn, service={"data_dir": ""})
        time.sleep(turn * 0.001)  # the moment, not a wait
        weir.signal(signal.SIGTERM)
        assert weir.wait(None) in (0, -signal.SIGTERM)


@pytest.fixture
def waiting(lab):
    """A weir that waits for its configuration: reading it may take any time, here it comes through a pipe. And the writer's end."""
    path = lab.path("late.yaml")
    os.mkfifo(path)
    weir = lab.start(["-c", path])
    with open(path, "w") as pipe:  # which waits until weir opens it, too
        yield weir, pipe


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_the_configuration_is_read(waiting, number):
    weir, _ = waiting
    weir.signal(number)
    weir.wait(0)
    assert weir.output() == b""


def test_early_sighup_is_a_reload(lab, waiting):
    """And an early SIGUSR1 is what it always is."""
    weir, pipe = waiting
    weir.signal(signal.SIGUSR1)
    weir.signal(signal.SIGHUP)
    lab.path("in.log").write_bytes(line(0))

    def config(alias):
        sources = [{"name": "tail", "path": lab.path("in.log"), "read_from_head": True, "alias": alias}]
        outputs = [{"name": "stdout", "match": "*", "format": "raw"}]
        return harness.config_text(sources, outputs, {"log_file": lab.path("weir.log"), "data_dir": lab.path("data")})

    def said():
        log = lab.path("weir.log")
        return log.read_text() if log.exists() else weir.log_text()

    def opened():
        """The pipe once more, when weir reads from it again."""
        try:
            return os.open(lab.path("late.yaml"), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    pipe.write(config("first"))
    pipe.close()
    until(lambda: "starting" in said(), said)  # it has closed the pipe
    again = until(opened, said)
    os.write(again, config("second").encode())
    os.close(again)
    until(lambda: "generation 2 is in force" in said(), said)
    assert "SIGUSR1: the log file is opened anew" in said()
    weir.wait_line(0)
    weir.stop()


def test_unusable_data_dir_is_status_2(lab):
    path = lab.path("in.log")
    path.write_bytes(line(0))
    lab.path("file").write_bytes(b"no directory")
    weir = lab.tail(path, service={"data_dir": lab.path("file")})
    weir.wait(2)
    assert str(lab.path("file")) in weir.log_text()
    assert weir.output() == b""


def test_damaged_checkpoint_is_said_and_nothing_is_lost(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 100))
    weir = lab.tail(path, name="first")
    weir.wait_line(99)
    weir.stop()
    database = lab.path("data") / "checkpoint.db"
    assert database.exists()
    for side in ("-wal", "-shm"):
        (database.parent / (database.name + side)).unlink(missing_ok=True)
    database.write_bytes(b"this is no database" * 1000)
    read = numbers(weir.output())
    append(path, line(100))
    weir = lab.tail(path, name="second")
    until(lambda: not weir.running() or weir.output().endswith(line(100)), "it ends or goes on")
    assert "checkpoint" in weir.log_text()
    if weir.running():
        weir.stop()
        assert set(read + numbers(weir.output())) == set(range(101))
    else:
        weir.wait(2)


def test_nothing_is_left_open_at_the_end(lab):
    preload = harness.BUILD / "tests" / "fds_at_exit.so"
    assert preload.exists()
    for name in ("a.log", "b.log"):
        lab.path(name).write_bytes(lines(0, 100))
    report = lab.path("at-exit")
    weir = lab.tail(lab.path("*.log"), preload=preload, env={"WEIR_TEST_AT_EXIT": str(report)})
    weir.wait_output(lambda data: len(data) >= 2 * len(lines(0, 100)))
    # What the test's own parents left open is not weir's.
    append(lab.path("a.log"), line(100))
    weir.wait_line(100)
    weir.stop()
    entries = report.read_text().splitlines()
    left = [entry for entry in entries if re.match(r"fd (\d+) ", entry) and int(entry.split()[1]) > 2
            and ("weir" in entry or str(lab.folder) in entry or "anon_inode" in entry or "socket" in entry)]
    assert left == []
    if harness.SANITIZER != "thread":  # which has a thread of its own
        assert "threads 1" in entries


def test_idle_takes_no_wake_ups(lab):
    if harness.SANITIZER == "thread":
        pytest.skip("the thread sanitizer wakes up by itself")
    for index in range(20):
        lab.path("f%d.log" % index).write_bytes(lines(0, 10))
    weir = lab.tail(lab.path("*.log"))
    weir.wait_output(lambda data: len(data) >= 20 * len(lines(0, 10)))
    quiet = {"since": time.monotonic(), "switches": weir.switches()}

    def look():
        now = weir.switches()
        if now != quiet["switches"]:
            quiet.update(since=time.monotonic(), switches=now)
        return time.monotonic() - quiet["since"] >= 2
    until(look, "two seconds without a wake-up")
    append(lab.path("f3.log"), line(10))
    weir.wait_line(10)
    weir.stop()


def test_deleted_files_leave_no_descriptor(lab):
    """After a hundred files have come and gone, as many descriptors as before."""
    keep = lab.path("keep.log")
    keep.write_bytes(line(0))
    weir = lab.tail(lab.path("*.log"), rotate_wait="50ms")
    weir.wait_line(0)
    before = len(weir.descriptors())
    for number in range(1, harness.scaled(100, 20)):
        path = lab.path("f%d.log" % number)
        path.write_bytes(line(number))
        weir.wait_line(number)
        path.unlink()
    until(lambda: len(weir.descriptors()) <= before, lambda: str(weir.descriptors()))
    weir.stop()


def test_log_format_json(lab):
    import json
    path = lab.path("in.log")
    path.write_bytes(line(0))
    weir = lab.tail(path, service={"log_format": "json", "log_level": "debug"})
    weir.wait_line(0)
    weir.stop()
    entries = [json.loads(entry) for entry in weir.log_text().splitlines()]
    assert entries and all({"time", "level", "message"} <= set(entry) for entry in entries)


def test_log_file(lab):
    path = lab.path("in.log")
    path.write_bytes(line(0))
    weir = lab.tail(path, service={"log_file": lab.path("own.txt")})
    weir.wait_line(0)
    weir.stop()
    assert weir.log_text() == ""
    assert lab.path("own.txt").read_text()
