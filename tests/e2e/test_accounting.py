# SPDX-License-Identifier: Apache-2.0
"""Every byte is accounted for: what the status says of each file, compared with what was written to it."""
import http.client
import json
import os
import random
import time

import pytest

import harness
from harness import append, line, lines, until
from ports import free_port

MAX = 1000  # the longest line


class Watched:
    """weir on some files, whose output can be stopped, with its admin address."""

    def __init__(self, lab, path, pipe=False, output=None, **options):
        self.port = free_port()
        self.reader = None
        stdout = None
        if pipe:
            self.reader, stdout = os.pipe()
            os.set_blocking(self.reader, False)
        options = {"buffer_max_size": "1000", **options}
        self.weir = lab.tail(path, service={"http_server": True, "http_port": self.port}, stdout=stdout,
                             output={"queue_size": "64k", **(output or {})}, **options)
        if stdout is not None:
            os.close(stdout)
        self.taken = b""
        until(lambda: self.ask("/readyz") is not None, "it is ready")

    def ask(self, url):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE)
        try:
            connection.request("GET", url)
            answer = connection.getresponse()
            body = answer.read()
            return body if answer.status == 200 else None
        except OSError:
            assert self.weir.running(), self.weir.log_text()
            return None
        finally:
            connection.close()

    def take(self):
        """Reads what the output has written by now."""
        while True:
            try:
                data = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            self.taken += data

    def files(self):
        """{name: figures}, every one of which adds up."""
        found = {}
        for file in json.loads(self.ask("/api/v1/status?files=1000"))["inputs"][0]["files"]:
            assert file["size"] == file["delivered"] + file["in_flight"] + file["unread"] + file["abandoned"], file
            assert file["read"] == file["delivered"] + file["in_flight"] + file["abandoned"], file
            assert all(value >= 0 for name, value in file.items() if isinstance(value, (int, float))), file
            assert file["lag"] <= file["in_flight"] + file["unread"], file
            assert file["lag"] > 0 or file["lag_seconds"] == 0, file
            found[os.path.basename(file["path"])] = file
        return found

    def settled(self, name, size):
        """Waits until all of the file is read and committed; returns its figures."""
        def look():
            if self.reader is not None:
                self.take()
            file = self.files().get(name)
            return file if file and file["size"] == size and file["lag"] == 0 else None
        return until(look, lambda: "%s is through: %s" % (name, self.files()))

    def metric(self, text):
        for found in self.ask("/metrics").decode().splitlines():
            if found.startswith(text + " "):
                return float(found.rsplit(" ", 1)[1])
        return None


@pytest.mark.parametrize("treatment", ["split", "truncate", "skip"])
@pytest.mark.parametrize("encoding", ["", "utf-16le"])
def test_lines_too_long(lab, treatment, encoding):
    path = lab.path("a.log")
    width = 2 if encoding else 1
    w = Watched(lab, path, long_lines=treatment, **({"encoding": encoding} if encoding else {}))
    expected = size = 0
    for length in (10, 1200 // width, 100_000, 3, 300_000, 1000 // width, 1001 // width + 1):
        text = "x" * length + "\n"
        data = text.encode(encoding or "ascii")
        append(path, data)
        size += len(data)
        if length * width > MAX:
            expected += {"split": 0, "truncate": length * width - MAX, "skip": len(data)}[treatment]
        file = w.settled("a.log", size)
        assert (file["abandoned"], file["delivered"]) == (expected, size - expected), length
    assert (w.metric('weir_tail_abandoned_bytes_total{input="tail.0",reason="too_long"}') or 0) == expected
    w.weir.stop()


def test_left_out_lines_are_dealt_with(lab):
    """What the user did not want counts as delivered."""
    path = lab.path("a.log")
    w = Watched(lab, path, exclude_regex="no", skip_empty_lines=True)
    append(path, b"yes\n\nno\nyes\n" * 100)
    file = w.settled("a.log", 1200)
    assert (file["abandoned"], file["delivered"], file["unread"]) == (0, 1200, 0)
    w.weir.stop()


def test_holes_and_truncations(lab):
    path = lab.path("a.log")
    w = Watched(lab, path)
    with open(path, "wb", buffering=0) as writer:
        writer.write(lines(0, 100))
        w.settled("a.log", len(lines(0, 100)))
        os.truncate(path, 0)
        until(lambda: w.files()["a.log"]["size"] == 0, "the truncation is seen")
        hole = writer.tell()
        writer.write(lines(100, 110))
    file = w.settled("a.log", hole + len(lines(100, 110)))
    assert (file["abandoned"], file["delivered"]) == (hole, len(lines(100, 110)))
    assert w.metric('weir_tail_abandoned_bytes_total{input="tail.0",reason="hole"}') == hole
    path.write_bytes(lines(110, 112))
    assert w.settled("a.log", len(lines(110, 112)))["abandoned"] == 0  # of other content
    w.weir.stop()


def test_truncated_unread(lab):
    """What was seen and is gone before it could be read is counted."""
    path = lab.path("a.log")
    w = Watched(lab, path, pipe=True)
    append(path, line(0))
    w.settled("a.log", len(line(0)))
    append(path, lines(1, 100_000))
    size = path.stat().st_size
    until(lambda: w.files()["a.log"]["in_flight"] > 64 * 1024, "the queue is full")
    os.truncate(path, 0)
    append(path, line(1))
    w.settled("a.log", len(line(1)))
    w.take()
    # Until then it may have read on: what the pipe took made room.
    read = len(w.taken) - len(line(1))
    assert w.taken == lines(0, 100_000)[:read] + line(1) and 64 * 1024 < read < size // 2
    assert w.metric('weir_tail_abandoned_bytes_total{input="tail.0",reason="truncated"}') == size - read
    w.weir.stop()


def test_in_flight_and_unread(lab):
    """The output is stopped: what fits is in flight, the rest unread, nothing delivered beyond what was taken."""
    path = lab.path("a.log")
    w = Watched(lab, path, pipe=True)
    append(path, line(0))
    w.settled("a.log", len(line(0)))
    append(path, lines(1, 100_000))
    size = len(lines(0, 100_000))
    file = until(lambda: (lambda f: f["in_flight"] > 64 * 1024 and f["size"] == size and f)(w.files()["a.log"]), "the queue is full")
    assert file["unread"] > size // 2
    assert file["lag"] == file["in_flight"] + file["unread"] == size - file["delivered"]
    append(path, b"x" * 2000 + b"\nunfinished")
    w.take()
    last = w.settled("a.log", size + 2011)
    assert (last["unread"], last["in_flight"]) == (10, 0)
    assert last["delivered"] == size + 2001
    w.take()  # what is committed is in the pipe
    assert w.taken == lines(0, 100_000) + b"x" * 1000 + b"\n" + b"x" * 1000 + b"\n"
    w.weir.stop()


def test_how_long_the_oldest_has_waited(lab):
    """To about a second, also where more comes all the time."""
    path, other = lab.path("a.log"), lab.path("b.log")
    w = Watched(lab, lab.path("*.log"), pipe=True)
    other.write_bytes(line(1))
    append(path, line(0))
    w.settled("a.log", len(line(0)))
    fill = lines(0, 20_000)
    began = time.monotonic()
    append(path, fill)
    until(lambda: w.files()["a.log"]["in_flight"] > 0, "it knows of them")
    learned = time.monotonic()
    while time.monotonic() < learned + 2.5:
        append(path, line(7))
        time.sleep(0.01)
    before = time.monotonic()
    file = w.files()["a.log"]
    assert before - learned - 0.2 < file["lag_seconds"] < time.monotonic() - began + 1.2, file
    append(other, line(2))  # has to wait, too, but not for so long
    until(lambda: w.files()["b.log"]["lag"] == len(line(2)), "the other one lags")
    assert w.files()["b.log"]["lag_seconds"] < time.monotonic() - before + 0.2
    w.settled("a.log", path.stat().st_size)
    w.weir.stop()


def lag_of(w):
    """{(metric, path): value} of the lag metrics, by Prometheus' own parser; the same names never twice."""
    parser = pytest.importorskip("prometheus_client.parser") if not harness.IN_CI else \
        __import__("prometheus_client.parser").parser
    found = {}
    for family in parser.text_string_to_metric_families(w.ask("/metrics").decode()):
        for sample in family.samples:
            if "lag_" in sample.name:
                key = (sample.name, sample.labels.get("path"))
                assert family.type == "gauge" and sample.labels["input"] == "tail.0" and key not in found
                found[key] = sample.value
    return found


def at_one_time(w):
    """The figures of the status and of the metrics with nothing delivered in between: what is in the queue may be on its way."""
    def bytes_of(files):
        return {name: (file["size"], file["committed"]) for name, file in files.items()}

    def look():
        files = w.files()
        lag = lag_of(w)
        return (files, lag) if bytes_of(w.files()) == bytes_of(files) else None
    return until(look, "two answers that are the same")


def test_lag_metrics_of_the_files_furthest_behind(lab):
    """In order, at most 50 of an input; its sum is of all its files. An unfinished line is no lag."""
    lab.path("logs").mkdir()
    paths = [lab.path("logs") / ("%02d.log" % index) for index in range(70)]
    for path in paths:
        path.write_bytes(line(0))
    w = Watched(lab, lab.path("logs/*.log"), pipe=True)
    for path in paths:
        w.settled(path.name, len(line(0)))
    quiet = lag_of(w)
    assert len(quiet) == 102 and set(quiet.values()) == {0}
    append(paths[0], lines(0, 100_000))
    until(lambda: w.files()["00.log"]["in_flight"] > 64 * 1024, "the queue is full")
    for number, path in enumerate(paths[1:], 1):
        append(path, lines(0, number))
    until(lambda: all(file["lag"] for file in w.files().values()), "all lag")
    files, lag = at_one_time(w)
    name = "weir_tail_file_lag_bytes"
    shown = {path: value for (metric, path), value in lag.items() if metric == name and path}
    assert set(shown) == {str(path) for path in [paths[0], *paths[21:]]}
    assert all(value == files[os.path.basename(path)]["lag"] for path, value in shown.items())
    assert lag["weir_tail_lag_bytes", None] == sum(file["lag"] for file in files.values())
    assert lag["weir_tail_lag_seconds", None] == max(
        value for (metric, path), value in lag.items() if metric == "weir_tail_file_lag_seconds")
    for path in paths:
        w.settled(path.name, path.stat().st_size)
    append(paths[5], b"unfinished")
    until(lambda: w.files()["05.log"]["unread"] == 10 and w.files()["05.log"]["lag"] == 0, "it is read")
    assert lag_of(w)["weir_tail_lag_bytes", None] == 0
    w.weir.stop()


def test_no_more_series_than_are_of_use(lab):
    """Of the files of all inputs together; each input has its own."""
    paths = [lab.path("%03d.log" % index) for index in range(300)]
    for path in paths:
        path.write_bytes(b"")
    inputs = [{"name": "tail", "path": path, "tag": "t"} for path in paths]
    port = free_port()
    config = lab.config(inputs, [{"name": "stdout", "match": "*"}], {"http_server": True, "http_port": port})
    weir = lab.start(["-c", config])
    w = Watched.__new__(Watched)
    w.port, w.weir = port, weir
    until(lambda: w.ask("/readyz"), "it is ready")
    text = w.ask("/metrics").decode()
    assert text.count("\nweir_tail_file_lag_bytes{") == 200
    assert text.count("\nweir_tail_lag_bytes{") == 300
    weir.stop()


def test_at_any_moment(lab):
    """Random writes, rotations, truncations, stalls: each snapshot adds up, and in the end each file is through."""
    seed = random.randrange(1 << 32)
    print("seed %d" % seed)
    dice = random.Random(seed)
    w = Watched(lab, lab.path("*.log"), pipe=True, long_lines="truncate", rotate_wait="50ms",
                output={"format": "raw"})
    abandoned = {name: 0 for name in "abc"}
    number = looks = 0
    for _ in range(harness.scaled(400, 100)):
        name = dice.choice("abc")
        path = lab.path(name + ".log")
        for _ in range(dice.choice((1, 3, 50))):
            number += 1
            length = dice.choice((0, 0, 0, 0, 5000, 50_000)) if dice.random() < 0.3 else 0
            text = line(number, length)
            append(path, text)
            abandoned[name] += max(0, len(text) - 1 - MAX)
        what = dice.random()
        if what < 0.02:
            path.rename(lab.path("%s.log.%d" % (name, number)))
            abandoned[name] = 0
        elif what < 0.04:
            os.truncate(path, 0)
            abandoned[name] = 0
            until(lambda: w.take() or w.files().get(path.name, {}).get("size") == 0, "the truncation is seen")
        if dice.random() < 0.6:
            w.take()
        if dice.random() < 0.5:
            looks += 1
            for key, file in w.files().items():
                current = lab.path(key)
                if current.exists() and file["path"] == str(current):
                    assert file["abandoned"] <= file["committed"]
    assert looks > 20
    for name in "abc":
        path = lab.path(name + ".log")
        append(path, line(0))
        file = w.settled(path.name, path.stat().st_size)
        assert file["abandoned"] == abandoned[name]
        assert file["delivered"] == path.stat().st_size - abandoned[name]
    w.weir.stop()
