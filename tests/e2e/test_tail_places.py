# SPDX-License-Identifier: Apache-2.0
"""Where files lie, and what the machine has left: each test is a row of the table in plugins/in_tail/README.md."""
import os
import shutil
import struct
import subprocess
import time

import pytest

import harness
from harness import append, line, lines, numbers, until, whole_lines


def all_of(weir, count, first=0):
    """Waits for the lines first to count - 1, in any order, each once."""
    weir.wait_output(lambda data: len(whole_lines(data)) >= len(lines(first, count)))
    assert sorted(numbers(whole_lines(weir.output()))) == list(range(first, count))


def mount(*arguments):
    """Skips where that is not to be had (no root, a container without it); in CI it must be."""
    done = subprocess.run(["mount", *map(str, arguments)], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        (pytest.fail if harness.IN_CI and os.geteuid() == 0 else pytest.skip)("mount: " + done.stderr.strip())


@pytest.fixture
def mounted(lab):
    """mounted(path): path is unmounted at the end, however often it was mounted."""
    paths = []
    yield paths.append
    for weir in lab.started:
        if weir.running():
            weir.process.kill()
            weir.process.wait()
    for path in reversed(paths):
        while subprocess.run(["umount", "-l", str(path)], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            pass


def wrapped(lab, command, *args, **options):
    """lab.tail, but started through a shell command, in which "$0" and "$@" are weir and its arguments."""
    script = lab.path("wrapped")
    script.write_text("#!/bin/sh\nset -- '%s' \"$@\"\n%s\n" % (harness.WEIR, command))
    script.chmod(0o755)
    real, harness.WEIR = harness.WEIR, script
    try:
        return lab.tail(*args, **options)
    finally:
        harness.WEIR = real


# -- File systems -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", ["", "xino=auto", "xino=off"], ids=["one", "two", "two-other-numbers"])
@pytest.mark.parametrize("live", [True, False], ids=["live", "restart"])
def test_copied_up_in_an_overlay(lab, mounted, live, apart):
    """A file of a lower layer becomes another file when it is first written to: under weir, or between two runs."""
    base, merged = lab.path("base"), lab.path("merged")
    for path in (base, merged):
        path.mkdir()
    mount("-t", "tmpfs", "none", base)
    mounted(base)
    if apart:
        (base / "lower").mkdir()
        mount("-t", "tmpfs", "none", base / "lower")
        mounted(base / "lower")
    for name in ("lower", "upper", "work"):
        (base / name).mkdir(exist_ok=True)
    (base / "lower" / "a.log").write_bytes(lines(0, 100))
    mount("-t", "overlay", "overlay", "-o", "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work,%s"
          % (base, base, base, apart or "xino=auto"), merged)
    mounted(merged)
    path = merged / "a.log"
    weir = lab.tail(merged / "*.log", name="one")
    weir.wait_line(99)
    if not live:
        weir.stop()
    append(path, lines(100, 200))
    if not live:
        weir = lab.tail(merged / "*.log", name="one")
    weir.wait_line(199)
    append(path, lines(200, 300))
    all_of(weir, 300)
    path.rename(merged / "a.log.1")
    append(merged / "a.log.1", lines(300, 310))
    path.write_bytes(lines(310, 320))
    all_of(weir, 320)
    weir.stop()
    append(path, lines(320, 330))
    weir = lab.tail(merged / "*.log", name="one")
    all_of(weir, 330)
    weir.stop()


def test_without_events_it_polls_by_itself(lab, mounted, need):
    """FUSE, whose files change behind the kernel's back: files, new files, rotations and truncations are seen."""
    bindfs = need("bindfs")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse")
    real, seen = lab.path("real"), lab.path("seen")
    for path in (real, seen):
        path.mkdir()
    # the path through FUSE sees changes without caching for long
    subprocess.run([bindfs, "-o", "attr_timeout=0,entry_timeout=0,negative_timeout=0", str(real), str(seen)], check=True)
    mounted(seen)
    path = real / "a.log"
    path.write_bytes(lines(0, 10))
    weir = lab.tail(seen / "*.log", name="one", poll_interval="20ms")
    weir.wait_line(9)
    append(path, lines(10, 20))
    weir.wait_line(19)
    (real / "b.log").write_bytes(lines(20, 30))
    weir.wait_line(29)
    os.rename(seen / "a.log", seen / "a.log.1")  # FUSE numbers files anew that are renamed behind it
    append(real / "a.log.1", lines(30, 31))
    path.write_bytes(lines(31, 40))
    all_of(weir, 40)
    (real / "b.log").write_bytes(lines(40, 45))
    all_of(weir, 45)
    weir.stop()
    append(path, lines(45, 50))
    weir = lab.tail(seen / "*.log", name="one", poll_interval="20ms")
    all_of(weir, 50)
    assert "looked at every poll_interval" in weir.log_text()
    weir.stop()


@pytest.mark.parametrize("down", [False, True], ids=["live", "restart"])
def test_mount_that_vanishes(lab, mounted, down):
    """Positions outlive it: what came meanwhile is read when it is there again, and nothing twice."""
    real, seen = lab.path("real"), lab.path("seen")
    for path in (real, seen):
        path.mkdir()
    path = real / "a.log"
    path.write_bytes(lines(0, 10))
    mount("--bind", real, seen)
    mounted(seen)
    options = {"refresh_interval": "100ms", "rotate_wait": "100ms"}
    weir = lab.tail(seen / "*.log", name="one", **options)
    weir.wait_line(9)
    for turn in range(1, 4):
        subprocess.run(["umount", "-l", str(seen)], check=True)
        until(lambda: not any("a.log" in name for name in weir.descriptors().values()), "the file is closed")
        if down:
            weir.stop()
            weir = lab.tail(seen / "*.log", name="one", **options)
            until(lambda: weir.log_text().count("starting") == turn + 1, "it runs")
        append(path, lines(turn * 10, turn * 10 + 10))
        mount("--bind", real, seen)
        all_of(weir, turn * 10 + 10)
    weir.stop()


def test_other_file_system_in_the_same_place(lab, mounted):
    """Inode and device numbers may be those of before; what is there is new."""
    seen = lab.path("seen")
    seen.mkdir()
    mount("-t", "tmpfs", "none", seen)
    mounted(seen)
    (seen / "a.log").write_bytes(lines(0, 100))
    weir = lab.tail(seen / "*.log", refresh_interval="100ms", rotate_wait="100ms")
    weir.wait_line(99)
    for turn in range(1, 4):
        subprocess.run(["umount", "-l", str(seen)], check=True)
        until(lambda: not any("a.log" in name for name in weir.descriptors().values()), "the file is closed")
        mount("-t", "tmpfs", "none", seen)
        (seen / "a.log").write_bytes(lines(turn * 100, turn * 100 + 100))
        all_of(weir, turn * 100 + 100)
    weir.stop()


# -- The machine ------------------------------------------------------------------------------------------


def test_permission_granted_later(lab, need):
    """Without the right to read everything: what can't be read is said, and read once it can be, other files before."""
    setpriv = need("setpriv")
    command = "exec %s --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search \"$@\"" \
        % setpriv if os.geteuid() == 0 else 'exec "$@"'
    locked, folder = lab.path("locked.log"), lab.path("folder")
    folder.mkdir()
    locked.write_bytes(lines(10, 20))
    (folder / "a.log").write_bytes(lines(20, 30))
    lab.path("open.log").write_bytes(lines(0, 10))
    locked.chmod(0)
    folder.chmod(0)
    weir = wrapped(lab, command, [lab.path("*.log"), lab.path("*/*.log")])
    weir.wait_line(9)
    weir.wait_log("locked.log can't be opened: Permission denied")
    weir.wait_log("the directory %s can't be read: Permission denied" % folder)
    append(lab.path("open.log"), line(30))
    weir.wait_line(30)
    locked.chmod(0o600)
    weir.wait_line(19)
    folder.chmod(0o700)
    weir.wait_line(29)
    assert sorted(numbers(weir.output())) == list(range(31))
    locked.chmod(0)  # it is open
    append(lab.path("folder/a.log"), line(31))
    weir.wait_line(31)
    weir.stop()


def test_clock_that_steps(lab):
    """An hour forwards, two back, while it runs, and across restarts: nothing comes late, twice or not at all."""
    preload, step = harness.BUILD / "tests" / "clock_step.so", lab.path("step")
    path, old = lab.path("a.log"), lab.path("a.log.1")
    at = 0

    def start():
        return lab.tail(lab.path("*.log"), name="one", preload=preload, env={"CLOCK_STEP": str(step)},
                        rotate_wait="200ms", refresh_interval="300ms", close_inactive="150ms", ignore_older="10h",
                        service={"checkpoint_interval": "50ms"}, output={"format": "raw"})

    def set_step(seconds):
        with open(step, "r+b" if step.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    set_step(0)
    path.write_bytes(b"")
    weir = start()
    for seconds in (0, 3600, -3600, 0, -3600, 3600):
        set_step(seconds)
        append(path, lines(at, at + 10))
        at += 10
        all_of(weir, at)
        old.unlink(missing_ok=True)
        path.rename(old)
        append(old, lines(at, at + 5))
        path.write_bytes(lines(at + 5, at + 10))
        at += 10
        all_of(weir, at)
        until(lambda: not weir.has_open(old) and not weir.has_open(path), "the old one is closed, then the idle one")
        append(path, lines(at, at + 10))
        at += 10
        all_of(weir, at)
        if seconds == -3600:
            weir.stop()
            append(path, lines(at, at + 10))
            at += 10
            weir = start()
            all_of(weir, at)
    weir.stop()
    weir = start()
    append(path, line(at))
    all_of(weir, at + 1)
    weir.stop()


# -- The limits of inotify --------------------------------------------------------------------------------


def limited(lab, need, limit, *args, **options):
    """In a user namespace of its own, whose limit hurts nobody else."""
    unshare = need("unshare")
    name, value = limit
    if subprocess.run([unshare, "-Ur", "sh", "-c", "echo %d >/proc/sys/user/%s" % (value, name)], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no user namespaces here")
    return wrapped(lab, "exec %s -Ur sh -c 'echo %d >/proc/sys/user/%s; exec \"$0\" \"$@\"' \"$@\""
                   % (unshare, value, name), *args, **options)


@pytest.mark.one_build
def test_watch_limit_with_a_thousand_directories(lab, need):
    """Half of the directories find no watch: files, new files, rotations and new directories are seen all the same."""
    logs = lab.path("logs")
    paths = [logs / ("%04d" % index) / "a.log" for index in range(1000)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        path.write_bytes(line(number))
    weir = limited(lab, need, ("max_inotify_watches", 1000), logs / "*" / "*.log", poll_interval="50ms",
                   rotate_wait="100ms")
    all_of(weir, 1000)
    assert weir.log_text().count("no more inotify watches") == 1
    total = 1000
    for path in paths:
        append(path, line(total))
        total += 1
    all_of(weir, total)
    for path in paths[::10]:
        path.rename(path.parent / "a.log.1")
        path.write_bytes(line(total))
        (path.parent / "b.log").write_bytes(line(total + 1))
        total += 2
    for index in range(10):
        path = logs / ("new%d" % index) / "a.log"
        path.parent.mkdir()
        path.write_bytes(line(total))
        total += 1
    all_of(weir, total)
    weir.stop()


def test_instance_limit(lab, need):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    weir = limited(lab, need, ("max_inotify_instances", 0), lab.path("*.log"), poll_interval="20ms", rotate_wait="100ms")
    weir.wait_line(9)
    assert weir.log_text().count("no inotify (") == 1
    append(path, line(10))
    weir.wait_line(10)
    path.rename(lab.path("a.log.1"))
    path.write_bytes(line(11))
    lab.path("b.log").write_bytes(line(12))
    all_of(weir, 13)
    weir.stop()


# -- Many inputs in one directory -------------------------------------------------------------------------


@pytest.mark.one_build
def test_event_of_one_costs_the_others_nothing(lab):
    """The CPU that a name takes, which comes and goes in a directory of 2,000 inputs, is about that with one."""
    def cost(count):
        """Of the cheapest round: what else a process does, and what others do to it, comes on top."""
        folder = lab.path("logs%d" % count)
        folder.mkdir()
        inputs = [{"name": "tail", "path": folder / ("%04d.log" % index), "tag": "t", "read_from_head": True}
                  for index in range(count)]
        config = lab.config(inputs, [{"name": "stdout", "match": "*", "format": "raw"}], {"data_dir": ""})
        weir = lab.start(["-c", config], name="weir%d" % count)
        last, rounds = folder / ("%04d.log" % (count - 1)), []
        append(last, line(0))
        weir.wait_line(0)  # by the last one: all have started
        for number in range(1, 6):
            before = time.clock_gettime(~weir.pid << 3 | 2)  # its CPU time
            for _ in range(400):
                (folder / "foreign").write_bytes(b"")
                (folder / "foreign").unlink()
            append(last, line(number))
            weir.wait_line(number)
            rounds.append(time.clock_gettime(~weir.pid << 3 | 2) - before)
        weir.stop()
        shutil.rmtree(folder)
        return min(rounds)
    one, many = cost(1), cost(2000)
    # an event for each input would be 800 events * 2,000 inputs * 0.2 µs and more: above 0.3 s, with 0.01 s for one input
    assert many < 5 * one + 0.05, "%.3f s with one input, %.3f with 2,000" % (one, many)
