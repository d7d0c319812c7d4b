# SPDX-License-Identifier: Apache-2.0
"""No line is lost by a kill at any moment, and none is written twice by a stop and a start."""
import random
import sqlite3
import time
from contextlib import closing

import harness
from harness import Writer, append, line, lines, numbers, scaled, until, whole_lines

RATE = 20000 if not harness.SANITIZER else 4000


def committed(lab):
    """The position of the one file, on disk."""
    try:
        with closing(sqlite3.connect(lab.path("data") / "checkpoint.db", timeout=harness.DEADLINE)) as store:
            return store.execute('SELECT max("offset") FROM stream').fetchone()[0] or 0
    except sqlite3.OperationalError:  # it is just being made
        return 0


def test_fifty_kills_lose_nothing(lab):
    """kill -9 at random moments in a row while lines come in; afterwards clean restarts repeat nothing."""
    seed = time.time_ns() & 0xFFFFFFFF
    print("seed", seed)
    dice = random.Random(seed)
    path = lab.path("in.log")
    path.write_bytes(b"")
    writer = Writer(path, RATE)
    kills = scaled(50, 8)
    runs = []
    for turn in range(kills):
        weir = lab.tail(path, name="kill%d" % turn, service={"checkpoint_interval": "50ms"})
        runs.append(weir)
        # The moment, not a wait for something: from before its first line to long after its first checkpoint.
        time.sleep(dice.uniform(0.005, 0.6) * (3 if harness.SANITIZER else 1))
        if turn == kills - 1:
            weir.wait_log(" starting")
            until(lambda: committed(lab) > 0, "a position is on disk, however slow the machine is")
        weir.kill()
    count = writer.stop() + 1
    append(path, line(count - 1))  # which no run can have put out already
    last = lab.tail(path, name="last")
    last.wait_line(count - 1)
    last.stop()
    runs.append(last)

    found = set()
    for weir in runs:
        mine = numbers(whole_lines(weir.output()))
        assert mine == list(range(mine[0], mine[-1] + 1)) if mine else True, "%s is out of order" % weir.out
        found.update(mine)
    missing = set(range(count)) - found
    assert not missing, "lost %d lines, first %d (seed %d)" % (len(missing), min(missing), seed)
    begin = numbers(whole_lines(last.output()))[:1]
    assert begin and begin[0] > 0, "positions were never kept: all was read again"

    # After the clean stop: exactly once.
    append(path, lines(count, count + 1000))
    after = lab.tail(path, name="after")
    data = after.wait_line(count + 999)
    after.stop()
    assert data == lines(count, count + 1000)


def test_ten_clean_restarts_write_every_line_once(lab):
    path = lab.path("in.log")
    path.write_bytes(b"")
    writer = Writer(path, RATE)
    for turn in range(scaled(10, 4)):
        weir = lab.tail(path, name="one")  # all into one file
        size = len(weir.output())
        weir.wait_output(lambda data, size=size: len(data) > size, "something new in turn %d" % turn)
        weir.stop()
    count = writer.stop()
    starts = weir.log_text().count(" starting")
    weir = lab.tail(path, name="one")
    until(lambda: weir.log_text().count(" starting") > starts, "a start: there may be nothing left to be put out")
    weir.wait_output(lambda data: data.endswith(line(count - 1)))
    weir.stop()
    assert numbers(weir.output()) == list(range(count))


def test_restart_with_nothing_new_writes_nothing(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, name="first")
    weir.wait_line(9)
    weir.stop()
    weir = lab.tail(path, name="second")
    until(lambda: weir.has_open(path), "the file is open")
    append(path, line(10))
    assert weir.wait_line(10) == line(10)
    weir.stop()


def test_renamed_while_down_is_read_to_its_end(lab):
    """By identity: the old file under a name that the glob does not match, then the new one."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 100))
    weir = lab.tail(path, name="first")
    weir.wait_line(99)
    weir.stop()
    append(path, lines(100, 200))
    path.rename(lab.path("app.log.1"))
    path.write_bytes(lines(200, 300))
    weir = lab.tail(path, name="second")
    weir.wait_output(lambda data: len(data) >= len(lines(100, 300)))
    weir.stop()
    assert sorted(numbers(weir.output())) == list(range(100, 300))


def test_replaced_while_down_is_read_from_its_head(lab):
    path = lab.path("app.log")
    path.write_bytes(lines(0, 100))
    weir = lab.tail(path, name="first")
    weir.wait_line(99)
    weir.stop()
    path.unlink()
    path.write_bytes(lines(1000, 1200))
    weir = lab.tail(path, name="second")
    assert weir.wait_line(1199) == lines(1000, 1200)
    weir.stop()


def test_truncated_and_grown_past_while_down(lab):
    """The file is larger than the position, and yet another one: what it says now is all read."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 100))
    weir = lab.tail(path, name="first")
    weir.wait_line(99)
    weir.stop()
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(lines(5000, 5500))
    weir = lab.tail(path, name="second")
    assert weir.wait_line(5499) == lines(5000, 5500)
    weir.stop()


def test_from_the_end_at_the_first_start_only(lab):
    """Without read_from_head: what was there is left alone, what comes while weir is down is not."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, name="first", read_from_head=False)
    weir.wait_log("is followed from its end")
    append(path, lines(10, 20))
    assert weir.wait_line(19) == lines(10, 20)
    weir.stop()
    append(path, lines(20, 30))
    weir = lab.tail(path, name="second", read_from_head=False)
    assert weir.wait_line(29) == lines(20, 30)
    weir.stop()


def test_second_weir_on_the_same_data_dir_is_refused(lab):
    path = lab.path("in.log")
    path.write_bytes(line(0))
    first = lab.tail(path, name="first")
    first.wait_line(0)
    second = lab.tail(path, name="second")
    second.wait(2)
    assert str(lab.path("data")) in second.log_text()
    assert second.output() == b""
    first.stop()


def test_rewritten_file_is_known_at_every_moment(lab):
    """Killed just as a file that was rewritten while weir was down is begun anew, with the disk so slow that what is
    said of its streams is written in two parts; then it is renamed out of the pattern: nobody would look for a file
    whose old position is gone and whose new one is not there yet."""
    path, stuck = lab.path("d.log"), lab.path("stuck")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(lab.path("*.log"), name="first")
    weir.wait_line(9)
    weir.stop()

    path.write_bytes(lines(10, 15))
    weir = lab.tail(lab.path("*.log"), name="second", preload=harness.BUILD / "tests" / "stuck_backup.so",
                    env={"STUCK_BACKUP": str(stuck)})
    weir.wait_log("truncated or rewritten meanwhile")
    until(stuck.exists, "the backup is being written")
    weir.kill()
    before = set(numbers(whole_lines(weir.output())))

    append(path, lines(15, 20))
    path.rename(lab.path("d.log.64"))
    path.write_bytes(lines(20, 21))
    weir = lab.tail(lab.path("*.log"), name="third")
    weir.wait_output(lambda data: before | set(numbers(whole_lines(data))) == set(range(10, 21)), "all that was unread")
    weir.stop()
