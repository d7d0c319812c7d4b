# SPDX-License-Identifier: Apache-2.0
"""Records of several lines, and parsed ones, out of the real program: none lost, none cut, whatever stops it.

The random test plays a seed's operations on a file while weir runs, is stopped and is killed; WEIR_SEED=n plays that
seed alone.
"""
import json
import os
import random
import signal
import sqlite3
import struct
import time
import zlib
from contextlib import closing

import pytest

import harness
from harness import append, run, scaled, until

SEED = os.environ.get("WEIR_SEED")
TIME = "2016-10-06T00:17:%02d.669794202Z"


def records(data):
    return [json.loads(text) for text in harness.whole_lines(data).splitlines()]


def texts(data):
    return [(record.get("stream"), record["log"]) for record in records(data)]


def start(lab, path, name="weir", **options):
    return lab.tail(path, name=name, output={"format": "json_lines"}, service={"checkpoint_interval": "30ms"},
                    **{key.replace("multiline_", "multiline."): value for key, value in options.items()})


def stored_inodes(data):
    """Of the files whose positions are on disk (plugins/in_tail/identity.c)."""
    try:
        with closing(sqlite3.connect("file:%s?mode=ro" % (data / "checkpoint.db"), uri=True, timeout=harness.DEADLINE)) as store:
            found = [meta for meta, in store.execute("SELECT meta FROM stream") if len(meta or b"") >= 48]
    except sqlite3.OperationalError:  # it is not there yet
        return set()
    return {struct.unpack_from("<Q", meta, 10)[0] for meta in found}


# -- A random sequence --------------------------------------------------------------------------------------------


class Lines:
    """Records of a start pattern: a first line, and some that belong to it."""

    options = {"multiline_start_pattern": "^S"}

    def __init__(self, dice):
        self.dice, self.count, self.open = dice, 0, None
        self.complete = []

    def write(self):
        """A line; the record before is complete when it begins one."""
        if self.open is None or self.dice.random() < 0.3:
            self.end()
            self.count += 1
            line = "S %d %08x" % (self.count, zlib.crc32(b"%d" % self.count))
            self.open = line
        else:
            line = " %d %s" % (self.count, "x" * self.dice.choice((0, 10, 200, 5000)))
            self.open += "\n" + line
        return line + "\n"

    def end(self):
        if self.open is not None:
            self.complete.append((None, self.open))
        self.open = None


class Pieces:
    """Lines of two streams of a container, in pieces that lie in each other's way."""

    options = {"multiline_parser": "cri"}

    def __init__(self, dice):
        self.dice, self.count = dice, 0
        self.open = {"stdout": None, "stderr": None}
        self.complete = []

    def write(self):
        stream = self.dice.choice(("stdout", "stdout", "stdout", "stderr"))
        text = self.open[stream]
        if text is None:
            self.count += 1
            text = ""
            piece = "%d %08x" % (self.count, zlib.crc32(b"%d" % self.count))
        else:
            piece = "," + "y" * self.dice.choice((0, 10, 200, 5000))
        self.open[stream] = text + piece
        last = self.dice.random() < 0.4
        if last:
            self.complete.append((stream, self.open[stream]))
            self.open[stream] = None
        return "%s %s %s %s\n" % (TIME % (self.count % 60), stream, "F" if last else "P", piece)

    def end(self):
        for stream, text in self.open.items():
            if text is not None:
                self.complete.append((stream, text))
            self.open[stream] = None


class Play:
    """One seed's operations."""

    def __init__(self, lab, kind, dice, kills):
        self.lab, self.dice, self.kills = lab, dice, kills
        self.path = lab.path("a.log")
        self.path.touch()
        self.writer = kind(dice)
        self.rest = ""  # of a line that was begun
        self.rotations = self.logged = 0
        self.weir = None
        self.seen = False
        self.op_start()

    def op_start(self):
        if not self.weir:
            log = self.lab.path("weir.err")
            self.logged = log.read_text().count("is followed") if log.exists() else 0
            self.weir = start(self.lab, self.path, rotate_wait="50ms", multiline_flush_timeout="10m",
                              buffer_chunk_size="4k", poll_interval="20ms", **self.writer.options)

    def op_stop(self):
        if self.weir:
            until(lambda: self.weir.log_text().count("is followed") > self.logged, "the file being followed")
            self.weir.stop()
            self.seen = True
        self.weir = None

    def op_kill(self):
        if self.weir and self.kills:
            self.weir.kill()
            # of a line that was being written when it was killed nothing can be told
            data = self.weir.output()
            self.weir.out.write_bytes(harness.whole_lines(data))
            self.weir = None
            self.seen = False

    def surely_known(self):
        """A file that goes can be found again after a kill only where its position is on disk."""
        return not self.kills or os.stat(self.path).st_ino in stored_inodes(self.lab.path("data"))

    def op_append(self):
        data = self.rest + "".join(self.writer.write() for _ in range(self.dice.choice((1, 1, 2, 5, 30))))
        cut = len(data) if self.dice.random() < 0.6 else self.dice.randrange(len(data))
        self.rest = data[cut:]
        append(self.path, data[:cut].encode())

    def op_nap(self):
        time.sleep(self.dice.choice((0.001, 0.01, 0.05)))

    def op_rotate(self):
        """The file goes with a record that is not finished; the writer begins a new one in the next.

        While weir is down only one that it knows goes: one that comes and goes meanwhile can't be found."""
        if self.rest or not (self.weir or self.seen) or not self.surely_known():
            return
        if self.weir:
            until(lambda: self.weir.has_open(self.path), "the file being open")
        self.rotations += 1
        os.rename(self.path, "%s.%d" % (self.path, self.rotations))
        self.writer.end()
        self.path.touch()
        self.seen = self.weir is not None
        if self.weir:
            until(lambda: self.weir.has_open(self.path), "the new file being open")

    def finish(self):
        append(self.path, self.rest.encode())
        self.op_start()
        self.writer.end()
        wanted = self.writer.complete
        # a record that is complete once the file is gone
        until(lambda: self.weir.has_open(self.path), "the file being open")
        os.rename(self.path, "%s.last" % self.path)
        until(lambda: len(set(texts(self.weir.output()))) >= len(set(wanted)),
              lambda: "records: %s" % sorted(set(wanted) - set(texts(self.weir.output())))[:3])
        self.weir.stop()
        return wanted, texts(self.weir.output())


@pytest.mark.parametrize("kills", [False, True], ids=["stops", "kills"])
@pytest.mark.parametrize("kind", [Lines, Pieces])
def test_random(lab, kind, kills):
    """Every record comes whole; and once, where weir was not killed."""
    seed = int(SEED) if SEED else int.from_bytes(os.urandom(4), "little")
    print("seed %d" % seed)
    dice = random.Random(seed)
    play = Play(lab, kind, dice, kills)
    operations = ["append"] * 12 + ["nap"] * 5 + ["rotate", "stop", "kill"] + ["start"] * 3
    for _ in range(scaled(300, 100)):
        getattr(play, "op_" + dice.choice(operations))()
    wanted, came = play.finish()
    assert set(came) == set(wanted), "WEIR_SEED=%d" % seed
    if not kills:
        assert sorted(came, key=str) == sorted(wanted, key=str), "WEIR_SEED=%d" % seed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill-9"])
def test_restarts_under_load(lab, number):
    """Exceptions of a container's two streams while weir is stopped, or killed, again and again."""
    path = lab.path("a.log")
    path.touch()
    wanted, batches = set(), []
    for n in range(scaled(600, 200)):
        out = ["java.lang.Error: %d" % n] + ["\tat f%d" % k for k in range(n % 5)]
        err = ["err %d %s" % (n, "z" * (n % 50))]
        wanted |= {("stdout", "\n".join(out)), ("stderr", err[0])}
        lines = ["%s stdout P %s\n%s stdout F %s\n" % (TIME % 1, text[:4], TIME % 1, text[4:]) for text in out]
        middle = len(lines) // 2
        batches.append("".join(lines[:middle]) + "%s stderr P %s\n" % (TIME % 2, err[0][:3]) + "".join(lines[middle:]) +
                       "%s stderr F %s\n" % (TIME % 2, err[0][3:]))
    data = "".join(batches).encode()
    weir, runs = None, 8
    for index in range(runs):
        weir = start(lab, path, multiline_parser=["cri", "java"])
        weir.wait_log("is followed from")
        begin, end = (len(data) * k // runs for k in (index, index + 1))
        for at in range(begin, end, 997):
            append(path, data[at:min(at + 997, end)])
        if index + 1 < runs:
            weir.signal(number)
            weir.wait(None)
            weir.out.write_bytes(harness.whole_lines(weir.output()))
    until(lambda: set(texts(weir.output())) >= wanted, "all records")
    weir.stop()
    came = texts(weir.output())
    assert set(came) == wanted
    if number == signal.SIGTERM:
        assert len(came) == len(wanted)


# -- Single cases ------------------------------------------------------------------------------------------------


def test_timeout(lab):
    """An unfinished record comes after the timeout, and its position is behind it then."""
    path = lab.path("a.log")
    path.write_text("S 1\n a\n")
    weir = start(lab, path, multiline_start_pattern="^S", multiline_flush_timeout="200ms")
    weir.wait_output(lambda data: texts(data) == [(None, "S 1\n a")])
    append(path, b"S 2\n")
    weir.wait_output(lambda data: texts(data) == [(None, "S 1\n a"), (None, "S 2")])
    weir.stop()
    append(path, b"S 3\n")
    weir = start(lab, path, multiline_start_pattern="^S", multiline_flush_timeout="200ms")
    weir.wait_output(lambda data: texts(data) == [(None, "S 1\n a"), (None, "S 2"), (None, "S 3")])
    weir.stop()


def test_unfinished_record_survives_kills(lab):
    path = lab.path("a.log")
    path.write_text("S 1\n")
    for index in range(4):
        weir = start(lab, path, multiline_start_pattern="^S", multiline_flush_timeout="10m")
        weir.wait_log("is followed from")
        append(path, b" line %d\n" % index)
        time.sleep(0.05)  # it may have read it
        weir.kill()
        assert weir.output() == b""
    append(path, b"S 2\n")
    weir = start(lab, path, multiline_start_pattern="^S", multiline_flush_timeout="10m")
    weir.wait_output(lambda data: data)
    weir.stop()
    assert texts(weir.output()) == [(None, "S 1\n line 0\n line 1\n line 2\n line 3")]


def test_exit_on_eof(lab):
    """Docker's lines with a Java exception and the application's JSON, read once to their end."""
    path = lab.path("a.log")
    lines = ["java.lang.Error: x\n", "\tat y\n", '{"level":"info","n":1}\n', "half"]
    path.write_text("".join(json.dumps({"log": line, "stream": "stdout", "time": TIME % index}, separators=(",", ":")) + "\n"
                            for index, line in enumerate(lines)))
    status, out, _ = run(["-i", "tail", "-p", "path=%s" % path, "-p", "read_from_head=on", "-p", "exit_on_eof=on", "-p",
                          "multiline.parser=docker,java", "-p", "parser=json", "-o", "stdout", "-p",
                          "json_date_format=iso8601"], lab.folder)
    assert status == 0
    assert records(out) == [
        {"date": "2016-10-06T00:17:00.669794Z", "log": "java.lang.Error: x\n\tat y", "stream": "stdout"},
        {"date": "2016-10-06T00:17:02.669794Z", "level": "info", "n": 1, "stream": "stdout"},
        {"date": "2016-10-06T00:17:03.669794Z", "log": "half", "stream": "stdout"}]


def any_value(dice, depth=0):
    kind = dice.randrange(9 if depth < 5 else 7)
    if kind == 0:
        return dice.choice((None, True, False))
    if kind == 1:
        return dice.choice((0, -1, 1, 2**31, -2**31 - 1, 2**53 + 1, 2**63 - 1, -2**63, 2**64 - 1))
    if kind == 2:
        return dice.randrange(-2**63, 2**64)
    if kind == 3:
        return dice.uniform(-1e6, 1e6) * 10.0**dice.randrange(-20, 20)
    if kind < 7:
        return "".join(chr(dice.choice((dice.randrange(128), dice.randrange(0x800), 0x20ac, 0x1f600, 34, 92, 10)))
                       for _ in range(dice.choice((0, 3, 20, 40))))
    if kind == 7:
        return [any_value(dice, depth + 1) for _ in range(dice.randrange(20))]
    return {"k%d" % k: any_value(dice, depth + 1) for k in range(dice.randrange(20))}


def test_json_as_python_reads_it(lab):
    """Random documents, written in both of Python's ways, mean the same behind weir."""
    seed = int(SEED) if SEED else int.from_bytes(os.urandom(4), "little")
    print("seed %d" % seed)
    dice = random.Random(seed)
    documents = [{"a": any_value(dice), "b": any_value(dice)} for _ in range(scaled(2000, 500))]
    path = lab.path("a.log")
    path.write_text("".join(json.dumps(document, ensure_ascii=index % 2 == 0) + "\n"
                            for index, document in enumerate(documents)))
    status, out, _ = run(["-i", "tail", "-p", "path=%s" % path, "-p", "read_from_head=on", "-p", "exit_on_eof=on", "-p",
                          "parser=json", "-o", "stdout", "-p", "json_date_format=none"], lab.folder)
    assert status == 0
    found = records(out)
    assert len(found) == len(documents)
    for document, record in zip(documents, found):
        assert record == document


@pytest.mark.parametrize("options,words", [
    ({"multiline.parser": "docker, ruby"}, "'ruby' is none"), ({"multiline.start_pattern": "["}, "no regular expression"),
    ({"parser": "cri"}, "multiline.parser: cri"), ({"parser": "json", "time_format": "%Y"}, "time_key"),
    ({"multiline.parsr": "docker"}, "multiline.parser"),
])
def test_bad_options_are_told(lab, options, words):
    config = lab.config([{"name": "tail", "path": "/x", **options}], [{"name": "stdout", "match": "*"}])
    status, _, err = run(["check", "-c", config], lab.folder)
    assert status == 1 and words in err.decode() and "weir.yaml" in err.decode()
