# SPDX-License-Identifier: Apache-2.0
"""Sinks and inputs swapped while they run: another plugin, other options, another version of the same file."""
import os
import shutil

import pytest

import harness
from harness import Writer, append, line, lines, numbers, scaled, until
from kafka_broker import output as to_kafka
from reload import Reloaded, stdout, tail

pytest_plugins = ["kafka_fixtures"]

RATE = 5000 if harness.SANITIZER else 20000
MARK = b"version-of-this-sink:v"


class Sink:
    """A folder with an out_versioned.so of its own, which is replaced by other versions."""

    def __init__(self, lab):
        self.folder = lab.path("plugins")
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.file = self.folder / "out_versioned.so"
        self.out = lab.path("versioned.out")
        self.original = (harness.TEST_PLUGINS / "out_versioned.so").read_bytes()
        assert self.original.count(MARK) == 1
        self.replace("v0000")

    def replace(self, version, in_place=False, cut=0):
        data = self.original.replace(MARK + b"0000", MARK[:-1] + version.encode())
        data = data[: int(len(data) * (1 - cut))]
        if in_place:
            with open(self.file, "r+b") as file:
                file.truncate(0)
                file.write(data)
            return
        new = self.folder / "new"
        new.write_bytes(data)
        new.chmod(0o755)
        new.rename(self.file)

    def settings(self, **more):
        return {"name": "versioned", "alias": "sink", "match": "*", "path": self.out, **more}

    def end(self):
        """Its last whole lines. (All of them would take longer the more there are, and more would come meanwhile.)"""
        if not self.out.exists():
            return b""
        with open(self.out, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            return harness.whole_lines(file.read())

    def wait_end(self, number):
        until(lambda: self.end().endswith(b" " + line(number)), lambda: "line %d; the last is %r" % (number, self.end()[-40:]))

    def last_version(self):
        last = self.end().splitlines()[-1:]
        return last[0][:5].decode() if last else None

    def wait_version(self, version):
        until(lambda: self.last_version() == version, lambda: "%s; the last is %s" % (version, self.last_version()))

    def check(self, count):
        """Every line once and in order, and versions never go back. Returns the versions."""
        written = self.out.read_bytes().splitlines(keepends=True)
        assert numbers(b"".join(text[6:] for text in written)) == list(range(count))
        versions = [text[:5].decode() for text in written]
        assert versions == sorted(versions)
        return sorted(set(versions))


@pytest.fixture
def sink(lab):
    return Sink(lab)


def start(lab, sink, inputs, outputs, plugins=(), **service):
    return Reloaded(lab, inputs, outputs, {"plugin_dir": sink.folder, **service}, plugins)


# -- Another version of the same file ---------------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [False, True])
def test_fifty_versions_under_load(lab, sink, in_place):
    """By renaming, as installers do, and by overwriting the file that is loaded, as `cp` does."""
    versions = scaled(50, 15)
    path = lab.path("a.log")
    path.write_bytes(b"")
    r = start(lab, sink, [tail(path)], [sink.settings()])
    writer = Writer(path, RATE)
    for n in range(1, versions + 1):
        sink.replace("v%04d" % n, in_place)
        assert "output sink is replaced" in r.reload()
        sink.wait_version("v%04d" % n)
    end = writer.stop()
    sink.wait_end(end - 1)
    until(lambda: sum("memfd:out_versioned" in what for what in r.weir.descriptors().values()) == 1, "the old ones are closed")
    r.weir.stop()
    assert sink.check(end)[-1] == "v%04d" % versions


def test_a_version_that_does_not_start_or_load(lab, sink):
    path = lab.path("a.log")
    path.write_bytes(b"")
    r = start(lab, sink, [tail(path)], [sink.settings()])
    writer = Writer(path, RATE)
    sink.wait_version("v0000")
    for version, cut, words in (("vbad1", 0, "version vbad1 does not start"), ("v0001", 0.9, "is not whole"),
                                ("vbad2", 0, "version vbad2 does not start")):
        sink.replace(version, cut=cut)
        said = r.reload(applied=False)
        assert words in said and "generation 1 runs on" in said, said
    sink.file.chmod(0o777)
    assert "everybody may write" in r.reload(applied=False)
    before = sink.out.stat().st_size
    until(lambda: sink.out.stat().st_size > before, "the old one goes on")
    assert sink.last_version() == "v0000"
    sink.replace("v0002")
    r.reload()
    sink.wait_version("v0002")
    end = writer.stop()
    sink.wait_end(end - 1)
    r.weir.stop()
    assert sink.check(end) == ["v0000", "v0002"]


def test_a_file_that_was_only_touched_is_the_same(lab, sink):
    r = start(lab, sink, [tail(lab.path("a.log"))], [sink.settings()])
    os.utime(sink.file)
    assert "1 of 1 outputs" in r.reload()
    sink.replace("v0000")
    assert "1 of 1 outputs" in r.reload()
    r.weir.stop()


@pytest.mark.parametrize("owned", [False, True])
def test_another_version_of_in_tail(lab, sink, owned):
    """From its positions; also where a source has asked for the input."""
    plugin, path, listing = sink.folder / "in_tail.so", lab.path("a.log"), lab.path("set")
    shutil.copy(harness.BUILD / "plugins" / "in_tail.so", plugin)
    path.write_bytes(b"")
    listing.write_text("one\ttail\tpath=%s\ttag=t\tread_from_head=on\n" % path)
    source = {"name": "set", "alias": "source", "path": listing, "interval": "20ms"}
    r = start(lab, sink, [source if owned else tail(path, alias="a")], [sink.settings()],
              ["in_set", "in_counter"])
    writer = Writer(path, RATE)
    sink.wait_version("v0000")
    for n in range(scaled(20, 5)):
        data = (harness.BUILD / "plugins" / "in_tail.so").read_bytes() + b"x" * (n + 1)
        new = sink.folder / "new"
        new.write_bytes(data)
        new.chmod(0o755)
        new.rename(plugin)
        said = r.reload()
        assert ("1 of 1 inputs" if owned else "0 of 1 inputs") in said
        size = sink.out.stat().st_size
        until(lambda: sink.out.stat().st_size > size, "it goes on")
    end = writer.stop()
    sink.wait_end(end - 1)
    until(lambda: sum("memfd:in_tail" in what for what in r.weir.descriptors().values()) == 1, "old code is closed")
    r.weir.stop()
    sink.check(end)


@pytest.mark.parametrize("owned", [False, True])
def test_a_version_of_an_input_that_does_not_start(lab, sink, owned):
    """The one that it replaces comes back, from where it was."""
    good = (harness.TEST_PLUGINS / "in_counter.so").read_bytes()
    mark, plugin, listing = b"version-of-this-input:v0000", sink.folder / "in_counter.so", lab.path("set")
    assert good.count(mark) == 1

    def install(data):
        new = sink.folder / "new"
        new.write_bytes(data)
        new.chmod(0o755)
        new.rename(plugin)
    install(good)
    listing.write_text("one\tcounter\tcount=100000000\tbatch=10\tinterval=1ms\ttag=t\n")
    source = {"name": "set", "alias": "source", "path": listing, "interval": "20ms"}
    count = {"name": "counter", "alias": "c", "tag": "t", "count": 100000000, "batch": 10, "interval": "1ms"}
    r = start(lab, sink, [source if owned else count], [stdout()], ["in_set"])
    for n in range(4):
        size = len(r.weir.output())
        r.weir.wait_output(lambda data: len(data) > size + 100)
        install(good.replace(mark, mark[:-4] + b"bad%d" % n) if n % 2 == 0 else good + b"x" * n)
        said = r.reload()
        assert ("can't start: it is broken" in said and "runs as it was before" in said) == (n % 2 == 0), said
    size = len(r.weir.output())
    r.weir.wait_output(lambda data: len(data) > size + 100)
    r.weir.stop()
    found = [int(text) for text in r.weir.output().split()]
    assert found == list(range(len(found)))


# -- Another plugin, other options -----------------------------------------------------------------------------


@pytest.mark.parametrize("alias", [{"alias": "sink"}, {}])
def test_another_plugin_and_back(lab, sink, alias):
    """Under the same alias; or, where neither has one, in the place of the one that took the same records."""
    path = lab.path("a.log")
    path.write_bytes(b"")
    one, two = stdout(**alias), {**sink.settings(), "alias": "sink"}
    if not alias:
        del two["alias"]
    r = start(lab, sink, [tail(path)], [one])
    writer = Writer(path, RATE)
    for n in range(scaled(20, 6)):
        r.change([tail(path)], [one if n % 2 else two])
        size = (r.weir.out if n % 2 else sink.out).stat().st_size
        until(lambda: (r.weir.out if n % 2 else sink.out).stat().st_size > size, "lines by the new one")
    end = writer.stop()
    r.weir.wait_line(end - 1)
    r.weir.stop()
    first, second = numbers(r.weir.output()), numbers(b"".join(t[6:] for t in sink.out.read_bytes().splitlines(True)))
    assert first == sorted(first) and second == sorted(second)
    assert sorted(first + second) == list(range(end))


def test_what_a_stuck_sink_has_goes_to_its_successor(lab, sink):
    """Nobody reads standard output; what it could not write is written by the other one, in order."""
    path = lab.path("a.log")
    count = scaled(300000, 50000)
    path.write_bytes(lines(0, count))
    reading, writing = os.pipe()
    r = Reloaded(lab, [tail(path)], [stdout(alias="sink", queue_size="1M")],
                 {"plugin_dir": sink.folder, "grace": "100ms"}, stdout=writing)
    os.close(writing)
    until(lambda: r.output_of("sink")["queued_bytes"] > 1 << 20, "the queue is full")
    said = r.change([tail(path)], [sink.settings()])
    assert "output sink left" in said
    sink.wait_end(count - 1)
    r.weir.stop()
    with open(reading, "rb") as pipe:
        piped = numbers(harness.whole_lines(pipe.read()))
    written = numbers(b"".join(text[6:] for text in sink.out.read_bytes().splitlines(keepends=True)))
    assert written == list(range(written[0], count)) and written[0] <= len(piped)
    assert piped == list(range(len(piped)))


def test_a_removed_output_does_not_count(lab, sink):
    """It has its time; then what is left counts as done, and the others' positions go on."""
    path = lab.path("a.log")
    path.write_bytes(lines(0, 1000))
    slow = {"name": "slow", "alias": "slow", "match": "*", "path": lab.path("slow.out"), "delay": "1h"}
    r = start(lab, sink, [tail(path)], [sink.settings(), slow], ["out_slow"], grace="50ms")
    sink.wait_end(999)
    append(path, lines(1000, 1100))
    sink.wait_end(1099)
    assert r.status()["inputs"][0]["files"][0]["committed"] == 0
    said = r.change([tail(path)], [sink.settings()])
    assert "output slow is removed with" in said, said
    until(lambda: r.status()["inputs"][0]["files"][0]["committed"] == path.stat().st_size, "it is committed")
    r.weir.stop()
    append(path, lines(1100, 1200))
    again = lab.start(["-c", lab.path("weir.yaml")], name="again")
    sink.wait_end(1199)
    again.stop()
    sink.check(1200)


def test_a_removed_output_delivers_what_it_has(lab, sink):
    path = lab.path("a.log")
    count = scaled(5000, 500)
    path.write_bytes(lines(0, count))
    late = {"name": "later", "alias": "later", "match": "*", "path": lab.path("later.out"), "delay": "200ms"}
    r = start(lab, sink, [tail(path)], [sink.settings(), late], ["out_later"], grace="1m")
    sink.wait_end(count - 1)
    assert "is removed with" not in r.change([tail(path)], [sink.settings()])
    assert numbers(lab.path("later.out").read_bytes()) == list(range(count))
    r.weir.stop()


# -- Kafka -----------------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_kafka_to_stdout_and_back(lab, sink, kafka, topic):
    path = lab.path("a.log")
    path.write_bytes(b"")
    source = tail(path, topic=topic)
    r = start(lab, sink, [source], [to_kafka(kafka, alias="sink")], grace="20s")
    writer = Writer(path, RATE)
    until(lambda: kafka.count(topic), "the first messages")
    for n in range(scaled(10, 4)):
        before = len(r.weir.output()) if n % 2 == 0 else kafka.count(topic)
        r.change([source], [to_kafka(kafka, alias="sink") if n % 2 else stdout(alias="sink")])
        until(lambda: (len(r.weir.output()) if n % 2 == 0 else kafka.count(topic)) > before, "the new one has lines")
    end = writer.stop()
    until(lambda: r.status()["inputs"][0]["files"][0]["committed"] == path.stat().st_size, "all is acknowledged")
    r.weir.stop()
    printed, sent = numbers(r.weir.output()), kafka.numbers(topic)
    assert printed == sorted(printed) and sent == sorted(sent)
    assert sorted(printed + sent) == list(range(end))


@pytest.mark.kafka
def test_from_a_broker_that_is_away_to_stdout(lab, sink, kafka, topic):
    """What Kafka had not confirmed is printed; nothing is lost."""
    path = lab.path("a.log")
    path.write_bytes(lines(0, 1000))
    source = tail(path, topic=topic)
    r = start(lab, sink, [source], [to_kafka(kafka)], grace="1s")
    kafka.messages(topic, 1000)
    kafka.do("pause")
    append(path, lines(1000, 50000))
    until(lambda: r.status()["inputs"][0]["records"] >= 10000, "much is read")
    said = r.change([source], [stdout()])
    assert "output stdout.0 takes the place of kafka.0" in said
    r.weir.wait_line(49999)
    r.weir.stop()
    printed = numbers(r.weir.output())
    assert printed == list(range(printed[0], 50000)) and printed[0] <= 1000
