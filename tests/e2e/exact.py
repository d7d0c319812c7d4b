# SPDX-License-Identifier: Apache-2.0
"""Exactly once, as a consumer of committed messages sees it; for the tests of test_kafka_exact*.py and test_keeper.py."""
import bisect
import re
import subprocess
import time

from harness import Writer, lines, numbers, until
from kafka_broker import parse_messages

WIDTH = 100


def read_all(kafka, topic, level):
    """To the end, which kcat sees in an answer that holds nothing: where it is written all the time, one must not wait for more."""
    done = subprocess.run(
        ["kcat", "-C", "-q", "-b", kafka.address, "-t", topic, "-o", "beginning", "-e", "-X", "isolation.level=" + level,
         "-X", "fetch.wait.max.ms=1", "-f", "%p %o %K %S %h\n%k%s"], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return sorted(parse_messages(done.stdout), key=lambda message: message[:2]) if done.returncode == 0 else []


def read_some(kafka, topic, level="read_committed"):
    """The same where there must be some, now or in a moment."""
    return until(lambda: read_all(kafka, topic, level), "messages in " + topic)


def committed(kafka, topic, width=WIDTH):
    found = read_all(kafka, topic, "read_committed")
    return numbers(b"".join(message.value + b"\n" for message in found), width)


def check_committed(kafka, topic, count, text="", width=WIDTH):
    """So many lines, each once and in order. A producer is told that its transaction is committed before the mark of it stands in
    every partition, and only then readers see it."""
    until(lambda: len(committed(kafka, topic, width)) >= count, lambda: "%d lines committed, which are %d %s" % (
        count, len(committed(kafka, topic, width)), text), 60)
    assert committed(kafka, topic, width) == list(range(count)), text


def uncommitted(kafka, topic):
    return len(read_all(kafka, topic, "read_uncommitted"))


def await_lines(weir, kafka, topic, count, deadline=60, width=WIDTH):
    """Until as many lines are committed as there are; then they must be the right ones."""
    found = []

    def look():
        found[:] = committed(kafka, topic, width)
        assert weir.running(), weir.log_text()[-4000:]
        return len(found) >= count
    until(look, lambda: "%d lines committed, which are %d; log: %s" % (count, len(found), weir.log_text()[-3000:]), deadline)
    assert found == list(range(count))


def forget_checkpoint(lab):
    for path in lab.path("data").glob("checkpoint*"):
        path.unlink()


class Rotating(Writer):
    """Numbered lines; every now and then the file is renamed. `begins` holds the first number of each file."""

    def __init__(self, path, rate, every):
        self.every, self.begins = every, [0]
        super().__init__(path, rate, width=WIDTH)

    def run(self):
        begin = time.monotonic()
        file = open(self.path, "ab", buffering=0)
        while not self._stop_asked.is_set():
            due = int((time.monotonic() - begin) * self.rate)
            if due > self.written:
                file.write(lines(self.written, due, WIDTH))
                self.written = due
            if self.written - self.begins[-1] >= self.every:
                file.close()
                self.path.rename(self.path.with_name("%s.%d" % (self.path.name, len(self.begins))))
                file = open(self.path, "ab", buffering=0)
                self.begins.append(self.written)
            self._stop_asked.wait(0.002)
        file.close()


def check_files(found, begins, count, text):
    """Each line once, and in order for each file."""
    assert len(found) == count and len(set(found)) == count, "%d lines, %d different, of %d %s" % (
        len(found), len(set(found)), count, text)
    wanted = list(begins)  # of each file the next number
    for number in found:
        file = bisect.bisect_right(begins, number) - 1
        assert number == wanted[file], "%d where %d comes next %s" % (number, wanted[file], text)
        wanted[file] += 1


# -- The test plugin that keeps positions ---------------------------------------------------------------------------------------


def keeper(lab, **options):
    return {"name": "keeper", "alias": "keeper", "match": "*", "path": lab.path("journal"), **options}


def journal(lab, width=0):
    """The lines of what is committed."""
    path = lab.path("journal")
    data = path.read_bytes() if path.exists() else b""
    whole = data[:2] if data[:2] == b"C\n" else data[:data.rfind(b"\nC\n") + 3] if b"\nC\n" in data else b""
    return numbers(b"".join(found[1] + b"\n" for found in re.finditer(rb"^L (.*)$", whole, re.M)), width)
