# SPDX-License-Identifier: Apache-2.0
"""allow_path: whatever a name leads to, only files that really are in allowed places are read."""
import ctypes
import os
import threading
import time

import pytest

import harness
from harness import append, line, lines, numbers, until, whole_lines

SECRET = b"root:canary:secret\n"


@pytest.fixture
def places(lab):
    """(allowed folder, forbidden folder with a secret)"""
    allowed, forbidden = lab.path("allowed"), lab.path("forbidden")
    allowed.mkdir()
    forbidden.mkdir()
    (forbidden / "secret.log").write_bytes(SECRET * 10)
    return allowed, forbidden


def start(lab, path, allowed, **options):
    return lab.tail(path, allow_path=[str(allowed) + "/**"], **options)


@pytest.mark.parametrize("way", ["direct", "link", "linked directory", "dots", "chain", "device", "proc"])
def test_what_lies_elsewhere_is_not_read(lab, places, way):
    allowed, forbidden = places
    name = allowed / "evil.log"
    pattern = [str(allowed / "*.log")]
    if way == "direct":
        pattern.append(str(forbidden / "secret.log"))
    elif way == "link":
        name.symlink_to(forbidden / "secret.log")
    elif way == "linked directory":
        (allowed / "sub").symlink_to(forbidden)
        pattern.append(str(allowed / "sub" / "*.log"))
    elif way == "dots":
        pattern.append(str(allowed) + "/../forbidden/secret.log")
    elif way == "chain":
        (allowed / "one").symlink_to(forbidden / "secret.log")
        name.symlink_to("one")
    elif way == "device":
        name.symlink_to("/dev/zero")
    else:
        name.symlink_to("/proc/self/environ")
    (allowed / "good.log").write_bytes(lines(0, 100))
    weir = start(lab, pattern, allowed)
    weir.wait_line(99)
    append(allowed / "good.log", lines(100, 200))
    assert numbers(weir.wait_line(199)) == list(range(200))
    reasons = {"device": "is not a regular file", "proc": "the kernel's own account"}
    weir.wait_log(reasons.get(way, "which allow_path does not allow"))
    weir.stop()
    assert numbers(weir.output()) == list(range(200))


def test_links_that_stay_inside_are_read(lab, places):
    allowed, _ = places
    (allowed / "real").write_bytes(lines(0, 10))
    (allowed / "link.log").symlink_to("real")
    weir = start(lab, allowed / "*.log", allowed)
    assert numbers(weir.wait_line(9)) == list(range(10))


def test_a_rotated_file_is_read_to_its_end(lab, places):
    allowed, _ = places
    log = allowed / "a.log"
    log.write_bytes(lines(0, 10))
    weir = start(lab, log, allowed)
    weir.wait_line(9)
    log.rename(allowed / "a.log.1")
    append(allowed / "a.log.1", lines(10, 20))
    log.write_bytes(lines(20, 30))
    weir.wait_output(lambda data: sorted(numbers(whole_lines(data))) == list(range(30)), "all of both files")


def test_a_file_found_again_after_a_restart_is_checked_too(lab, places):
    """Renamed, while weir was down, to where it must not be read: a hard link of root's could have been meant."""
    allowed, _ = places
    log = allowed / "a.log"
    log.write_bytes(lines(0, 10))
    weir = start(lab, log, allowed)
    weir.wait_line(9)
    weir.stop()
    log.rename(allowed / "a.log.1")
    append(allowed / "a.log.1", lines(10, 20))
    log.write_bytes(lines(20, 30))
    weir = start(lab, log, allowed / "nowhere", name="second")
    weir.wait_log("a.log.1 is not read")
    weir.wait_log("a.log is not read")
    weir.stop()
    assert weir.output() == b""


def swap_all_the_time(weir, change, count, what):
    """Calls change(number) in a thread as fast as it goes, `count` times at least, and until weir has met the secret."""
    swaps = 0
    done = threading.Event()

    def swap():
        nonlocal swaps
        while not done.is_set():
            change(swaps)
            swaps += 1
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        until(lambda: swaps > count and "allow_path does not allow" in weir.log_text(),
              lambda: "%s; there were %d, and the log is: %s" % (what, swaps, weir.log_text()[-2000:]), 4 * harness.DEADLINE)
    finally:
        done.set()
        thread.join()


def check_nothing_leaked(lab, weir, allowed):
    (allowed / "end.log").write_bytes(line(999))
    weir.wait_output(lambda data: line(999) in data)
    weir.stop()
    assert b"canary" not in weir.output()
    assert set(numbers(weir.output())) == set(range(50)) | {999}


def test_a_link_swapped_all_the_time_leaks_nothing(lab, places):
    allowed, forbidden = places
    (allowed / "good").write_bytes(lines(0, 50))
    link, spare = allowed / "x.log", allowed / "spare"
    link.symlink_to("good")
    weir = start(lab, allowed / "*.log", allowed, refresh_interval="1s", rotate_wait="100ms")
    weir.wait_line(49)

    def change(number):
        os.symlink(forbidden / "secret.log" if number % 2 else "good", spare)
        os.rename(spare, link)
    swap_all_the_time(weir, change, 20000, "20,000 swaps, and one that leads to the secret when it is opened")
    link.unlink()
    check_nothing_leaked(lab, weir, allowed)


def exchange(one, other):
    """Both names change places in one step."""
    done = ctypes.CDLL(None, use_errno=True).renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)
    assert done == 0, os.strerror(ctypes.get_errno())


@pytest.mark.one_build
def test_a_directory_swapped_all_the_time_leaks_nothing(lab, places):
    """One in the middle of the path, and a link to where the same name is the secret, change places."""
    allowed, forbidden = places
    (allowed / "sub").mkdir()
    (allowed / "sub" / "secret.log").write_bytes(lines(0, 50))
    (allowed / "other").symlink_to(forbidden)
    weir = start(lab, [allowed / "sub" / "*.log", allowed / "*.log"], allowed, refresh_interval="100ms", rotate_wait="100ms")
    weir.wait_line(49)

    def change(number):
        exchange(allowed / "sub", allowed / "other")
        if number % 50 == 49:  # a moment to look, in which it may be either
            time.sleep(0.002)
    swap_all_the_time(weir, change, 20000, "20,000 swaps, and one that leads to the secret when it is opened")
    if not (allowed / "sub").is_symlink():
        exchange(allowed / "sub", allowed / "other")
    weir.wait_log("allow_path does not allow")
    exchange(allowed / "sub", allowed / "other")
    check_nothing_leaked(lab, weir, allowed)


@pytest.mark.parametrize("value", ["log/**", "*", "."])
def test_a_pattern_that_is_not_absolute(lab, value):
    weir = lab.tail(lab.path("a.log"), allow_path=[value])
    weir.wait(1)
    assert "allow_path: '%s' is no absolute path" % value in weir.log_text()


@pytest.mark.parametrize("path", ["/proc/self/mem", "/proc/self/environ", "/proc/self/maps", "/sys/kernel/uevent_seqnum"])
def test_what_the_kernel_makes_up_is_not_read(lab, places, path):
    """Without allow_path, too: these call themselves regular files."""
    allowed, _ = places
    (allowed / "good.log").write_bytes(lines(0, 10))
    weir = lab.tail([str(allowed / "*.log"), path])
    weir.wait_line(9)
    weir.wait_log("%s is not read: it is no file but the kernel's own account" % path)
    weir.stop()
    assert weir.output() == lines(0, 10)
