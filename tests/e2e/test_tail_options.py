# SPDX-License-Identifier: Apache-2.0
"""in_tail's options that choose lines and files."""
import os
import time

import pytest

import harness
from harness import append, line, lines, numbers, until


@pytest.mark.parametrize("options,wanted", [
    ({"include_regex": "ERROR|WARN"}, [1, 3, 5]),
    ({"exclude_regex": "^debug"}, [1, 2, 3, 5]),
    ({"include_regex": "ERROR|WARN", "exclude_regex": "health$"}, [1, 3]),
    ({"include_regex": "(?i)error"}, [1, 3, 4, 5]),
])
def test_regex_chooses_lines(lab, options, wanted):
    text = {1: b"ERROR a", 2: b"info", 3: b"WARN error \xff\0", 4: b"debug error", 5: b"ERROR of health\r"}
    path = lab.path("a.log")
    path.write_bytes(b"".join(value + b"\n" for value in text.values()))
    weir = lab.tail(path, exit_on_eof=True, **options)
    weir.wait(0)
    assert weir.output() == b"".join(text[number] + b"\n" for number in wanted)


def test_regex_position_moves_over_what_is_left_out(lab):
    """Unwanted lines are read once; also the last one, which has no newline."""
    path = lab.path("a.log")
    path.write_bytes(b"no\n" * 1000 + b"no")
    weir = lab.tail(path, name="one", include_regex="yes", exit_on_eof=True)
    weir.wait(0)
    append(path, b"\nyes\n")
    weir = lab.tail(path, name="one", exit_on_eof=True, skip_empty_lines=True)
    weir.wait(0)
    assert weir.output() == b"yes\n"


def test_bad_regex_is_an_error(lab):
    config = lab.config([{"name": "tail", "path": "x", "tag": "t", "exclude_regex": "a(b"}],
                        [{"name": "stdout", "match": "*"}])
    status, _, text = harness.run(["check", "-c", config], lab.folder)
    assert status == 1
    assert b"exclude_regex: 'a(b' is no regular expression" in text


def open_files(weir, folder):
    return sum(target.startswith(str(folder)) and target.endswith(".log") for target in weir.descriptors().values())


def test_ignore_older_begins_at_the_end(lab):
    old, new = lab.path("old.log"), lab.path("new.log")
    old.write_bytes(lines(0, 10))
    os.utime(old, (time.time() - 7200,) * 2)
    new.write_bytes(lines(10, 20))
    weir = lab.tail(lab.path("*.log"), name="one", ignore_older="1h")
    weir.wait_line(19)
    weir.wait_log("old.log is followed from its end")
    append(old, line(20))
    weir.wait_line(20)
    weir.stop()
    append(old, line(21))
    os.utime(old, (time.time() - 7200,) * 2)
    weir = lab.tail(lab.path("*.log"), name="one", ignore_older="1h")
    weir.wait_line(21)  # a position is kept, so what came since is not ignored, however old
    weir.stop()
    assert weir.output() == lines(10, 22)


def test_closed_target_of_a_link_is_no_rotated_file(lab):
    """Written to while closed, it is found through its link: an unfinished line goes on waiting."""
    target = lab.path("elsewhere")
    target.mkdir()
    target = target / "b"
    target.write_bytes(line(0))
    lab.path("link.log").symlink_to(target)
    weir = lab.tail(lab.path("*.log"), name="one", close_inactive="150ms", rotate_wait="10ms", service={"log_level": "debug"})
    weir.wait_line(0)

    def closed(times):
        until(lambda: weir.log_text().count("closed until it changes") >= times, lambda: "%d times closed: %s" % (times, weir.log_text()))
    for i in range(1, 4):
        closed(2 * i - 1)
        append(target, line(i)[:-1])
        closed(2 * i)  # it was opened, and rotate_wait would be over
        append(target, line(i)[-1:])
        weir.wait_line(i)
    weir.stop()
    assert weir.output() == lines(0, 4)


def test_close_inactive_opens_again_what_changes(lab):
    path, link = lab.path("a.log"), lab.path("link.log")
    target = lab.path("elsewhere")
    target.mkdir()
    target = target / "b"
    path.write_bytes(lines(0, 10))
    target.write_bytes(lines(10, 20))
    link.symlink_to(target)
    weir = lab.tail(lab.path("*.log"), name="one", close_inactive="50ms", rotate_wait="100ms")
    weir.wait_output(lambda data: len(data) >= len(lines(0, 20)))

    def closed():
        until(lambda: not weir.has_open(path) and not weir.has_open(target), "both are closed")
    closed()
    append(path, line(20))
    weir.wait_line(20)
    append(target, line(21))
    weir.wait_line(21)
    closed()
    path.write_bytes(lines(22, 30))  # truncated
    weir.wait_line(29)
    closed()
    append(path, line(30))
    path.rename(lab.path("a.log.1"))  # written to and renamed: by the time anyone looks, the name is gone
    path.write_bytes(line(31))
    weir.wait_output(lambda data: sorted(numbers(harness.whole_lines(data)))[-2:] == [30, 31])
    until(lambda: not weir.has_open(lab.path("a.log.1")), "the rotated file is closed")
    path.unlink()
    path.write_bytes(line(32))
    weir.wait_line(32)
    weir.stop()
    assert sorted(numbers(weir.output())) == list(range(33))


@pytest.mark.parametrize("notify", [True, False], ids=["inotify", "polling"])
def test_max_open_files(lab, notify):
    """Two hundred files and twenty descriptors; all are written to at once, again and again; none waits for ever."""
    count, limit = harness.scaled(200, 60), 20
    paths = [lab.path("%03d.log" % index) for index in range(count)]
    for index, path in enumerate(paths):
        path.write_bytes(line(index))
    weir = lab.tail(lab.path("*.log"), name="one", max_open_files=limit, inotify_watcher=notify, poll_interval="10ms")
    total = count
    most = 0
    for turn in range(4):
        weir.wait_output(lambda data: len(data) >= len(lines(0, total)))
        most = max(most, open_files(weir, lab.folder))
        if turn == 2:
            weir.stop()
        for path in paths:
            append(path, line(total))
            total += 1
        if turn == 2:
            weir = lab.tail(lab.path("*.log"), name="one", max_open_files=limit, inotify_watcher=notify,
                            poll_interval="10ms")
    weir.wait_output(lambda data: len(data) >= len(lines(0, total)))
    weir.stop()
    assert most <= limit + 1  # one more may be opened for a moment, to be compared
    assert sorted(numbers(weir.output())) == list(range(total))


def test_max_open_files_from_the_end(lab):
    """Without read_from_head, files beyond the limit are begun at their end as well, and then followed."""
    paths = [lab.path("%03d.log" % index) for index in range(50)]
    for index, path in enumerate(paths):
        path.write_bytes(line(index))
    weir = lab.tail(lab.path("*.log"), max_open_files=5, read_from_head=False)
    until(lambda: weir.log_text().count("is followed from its end") == 50, "all were looked at")
    for index, path in enumerate(paths):
        append(path, line(1000 + index))
    weir.wait_output(lambda data: len(data) >= 50 * len(line(0)))
    weir.stop()
    assert sorted(numbers(weir.output())) == list(range(1000, 1050))
