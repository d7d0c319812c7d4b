# SPDX-License-Identifier: Apache-2.0
"""A deleted file of which the sink has not taken everything yet, and its input goes: its lines come all the same, each once."""
import os
import signal

import pytest

import harness
from exact import forget_checkpoint, journal, keeper
from harness import append, lines, numbers, until, whole_lines
from reload import Reloaded, stdout, tail

WIDTH = 200
MEBIBYTE = 1 << 20
COUNT = 10000  # 2 MB: many times what pipe and queue take


class Stalled(Reloaded):
    """Whose standard output is a pipe that nobody reads until `come`."""

    def __init__(self, lab, inputs, outputs=None, plugins=(), **service):
        self.reader, write_end = os.pipe()
        os.set_blocking(self.reader, False)
        self.data = bytearray()
        try:
            # a loop for the one that retires, and another one for the one in its place
            super().__init__(lab, inputs, outputs or [small()], {"input_threads": 2, **service}, plugins, stdout=write_end)
        finally:
            os.close(write_end)

    def come(self):
        """All that has come so far; whole lines."""
        try:
            while part := os.read(self.reader, MEBIBYTE):
                self.data += part
        except BlockingIOError:
            pass
        return whole_lines(bytes(self.data))

    def wait_come(self, wanted):
        until(lambda: len(self.come()) >= wanted * WIDTH,
              lambda: "%d lines; %d came\n%s" % (wanted, len(self.data) // WIDTH, self.weir.log_text()[-3000:]))

    def is_full(self):
        """The sink takes no more, and of what the file holds most is not read."""
        files = [f for i in self.status()["inputs"] for f in i.get("files", [])]
        return all(f["unread"] > f["size"] / 2 and f["in_flight"] for f in files) and files

    def wait_full(self):
        until(self.is_full, lambda: "a full output: %s" % self.status())

    def states(self):
        return sorted(i["state"] for i in self.status()["inputs"])

    def wait_states(self, *states):
        until(lambda: self.states() == sorted(states), lambda: "inputs %s; they are %s\n%s" % (
            states, self.status()["inputs"], self.weir.log_text()[-3000:]))

    def wait_settled(self, deleted):
        """The one that retired has gone, and let go of its files."""
        until(lambda: "retiring" not in self.states(), lambda: "it is gone: %s" % self.status()["inputs"])
        until(lambda: not any(what.startswith(str(deleted)) and "deleted" in what for what in self.weir.descriptors().values()),
              lambda: "it is closed: %s" % self.weir.descriptors())

    def series(self):
        """{series: value} of the metrics, each of which there is once."""
        code, body = self.ask("/metrics")
        assert code == 200
        rows = [row.rsplit(" ", 1) for row in body.decode().splitlines() if not row.startswith("#")]
        found = dict(rows)
        assert len(found) == len(rows), sorted(row for row in rows if rows.count(row) > 1)
        return found

    def end(self, status=0):
        self.weir.stop(status)
        came = self.come()
        os.close(self.reader)
        return came


def small(**options):
    return stdout(queue_size="64k", alias="sink", **options)


def written(path, begin, end):
    path.write_bytes(lines(begin, end, WIDTH))


def deleted_and_written_anew(path, end):
    path.unlink()
    written(path, COUNT, end)


def check(came, end):
    """Each line once, and those of a file in their order."""
    found = numbers(came, WIDTH)
    assert sorted(found) == list(range(end))
    for begin, limit in ((0, COUNT), (COUNT, end)):
        mine = [n for n in found if begin <= n < limit]
        assert mine == sorted(mine)


def test_changed_by_reloads(lab):
    path = lab.path("a.log")
    written(path, 0, COUNT)
    r = Stalled(lab, [tail(path, alias="a")])
    r.wait_full()
    deleted_and_written_anew(path, COUNT + 100)
    r.change([tail(path, alias="a", tag="b")], [small()])
    r.wait_states("retiring", "running")
    old = next(i for i in r.status()["inputs"] if i["state"] == "retiring")
    assert (old["alias"], old["tag"]) == ("a", "t") and old["files"][0]["unread"] > MEBIBYTE
    assert float(r.series()['weir_tail_lag_bytes{input="a"}']) > MEBIBYTE
    # One that retires is left alone by the next, and there may be another one beside it; also where positions go to another alias.
    path.unlink()
    written(path, COUNT + 100, COUNT + 200)
    said = r.change([tail(path, alias="z", tag="c")], [small()])
    assert "goes on from the positions that were kept under 'a'" in said
    r.change([tail(path, alias="z", tag="c")], [small()])
    r.wait_states("retiring", "retiring", "running")
    r.series()
    r.wait_come(COUNT + 200)
    r.wait_settled(path)
    check(r.come(), COUNT + 200)
    append(path, lines(COUNT + 200, COUNT + 201, WIDTH))
    r.wait_come(COUNT + 201)
    check(r.end(), COUNT + 201)
    assert len(harness.kept_offsets(lab.path("data"))) == 1
    assert "could not be sent" not in r.weir.log_text()


def test_removed_by_a_reload(lab):
    path, other = lab.path("a.log"), lab.path("b.log")
    written(path, 0, COUNT)
    other.touch()
    r = Stalled(lab, [tail(path, alias="a"), tail(other, alias="b")])
    until(lambda: any(f["in_flight"] for i in r.status()["inputs"] for f in i["files"]), "it reads")
    path.unlink()
    r.change([tail(other, alias="b")], [small()])
    r.wait_states("retiring", "running")
    r.wait_come(COUNT)
    r.wait_settled(path)
    check(r.end(), COUNT)
    assert "could not be sent" not in r.weir.log_text()


def owned(lab, *rows):
    """A source's inputs are these from now on: (id, settings)."""
    lab.path("new").write_text("".join("%s\ttail\tread_from_head=true\t%s\n" % (name, "\t".join(settings)) for name, settings in rows))
    lab.path("new").rename(lab.path("wanted"))


def test_removed_by_its_source_and_there_again(lab):
    """And then the source is removed as well, while an input that it had has retired."""
    path, other = lab.path("a.log"), lab.path("b.log")
    written(path, 0, COUNT)
    other.touch()
    owned(lab, ("one", ["tag=t", "path=%s" % path]))
    source = {"name": "set", "alias": "source", "path": lab.path("wanted"), "interval": "10ms", "tag": "set"}
    r = Stalled(lab, [source, tail(other)], plugins=["in_set"])
    until(lambda: any(f["in_flight"] for i in r.status()["inputs"] for f in i.get("files", [])), "it reads")
    path.unlink()
    owned(lab)
    r.wait_states("running", "running", "retiring")
    written(path, COUNT, COUNT + 100)
    owned(lab, ("one", ["tag=t", "path=%s" % path]))
    r.wait_states("running", "running", "running", "retiring")
    r.change([tail(other)], [small()])
    r.wait_states("running", "retiring")
    r.change([source, tail(other)], [small()])
    r.wait_states("running", "running", "running", "retiring")
    r.wait_come(COUNT + 100)
    r.wait_settled(path)
    check(r.end(), COUNT + 100)
    assert "could not be sent" not in r.weir.log_text()


def test_goes_on_with_another_sink(lab):
    """The dead one is removed while the input retires; what it had been given goes to the other, too."""
    path, sink = lab.path("a.log"), lab.path("sink")
    written(path, 0, COUNT)
    r = Stalled(lab, [tail(path, alias="a")], plugins=["out_later"], grace="100ms")
    r.wait_full()
    deleted_and_written_anew(path, COUNT + 100)
    r.change([tail(path, alias="a", tag="b")], [small()])
    r.wait_states("retiring", "running")
    r.change([tail(path, alias="a", tag="b")], [{"name": "later", "alias": "sink", "match": "*", "path": sink, "delay": "1ms"}])
    until(lambda: r.states() == ["running"], lambda: "it is gone: %s" % r.status()["inputs"])
    r.weir.stop()
    assert {*numbers(r.come(), WIDTH), *numbers(sink.read_bytes(), WIDTH)} == set(range(COUNT + 100))
    assert "could not be sent" not in r.weir.log_text()
    os.close(r.reader)


def test_exactly_once(lab):
    """An output that keeps positions, and gives chunks back: each line once, also when weir starts again without its own positions."""
    path = lab.path("a.log")
    written(path, 0, COUNT)
    outputs = [small(), keeper(lab, interval="5ms", abort_every=3, doubt_every=5)]  # which gets what the other one has
    r = Stalled(lab, [tail(path, alias="a")], outputs, plugins=["out_keeper"])
    r.wait_full()
    deleted_and_written_anew(path, COUNT + 100)
    r.change([tail(path, alias="a", tag="b")], outputs)
    r.wait_states("retiring", "running")
    r.wait_come(COUNT + 100)
    r.wait_settled(path)
    check(r.end(), COUNT + 100)
    check_journal(lab, r.weir, COUNT + 100)
    forget_checkpoint(lab)
    append(path, lines(COUNT + 100, COUNT + 101, WIDTH))
    weir = lab.start(["-c", lab.path("weir.yaml")], name="again")
    weir.wait_line(COUNT + 100, WIDTH)
    weir.stop()
    check_journal(lab, weir, COUNT + 101)


def check_journal(lab, weir, end):
    assert sorted(journal(lab, WIDTH)) == list(range(end)), weir.log_text()[-3000:]


def test_weir_stops(lab):
    """Until the end of the grace it is read on; so with a sink that goes on in time, nothing is lost."""
    path = lab.path("a.log")
    written(path, 0, COUNT)
    r = Stalled(lab, [tail(path, alias="a")], grace="%ds" % harness.DEADLINE)
    r.wait_full()
    path.unlink()
    r.weir.signal(signal.SIGTERM)
    r.weir.wait_log("are not read to their ends yet")
    r.wait_come(COUNT)
    r.weir.wait()
    check(r.come(), COUNT)
    os.close(r.reader)
    assert "could not be sent" not in r.weir.log_text()


@pytest.mark.parametrize("again", [False, True])
def test_weir_stops_and_the_grace_ends(lab, again):
    """Or a second signal comes: what is left then is said to be lost. The one that retired before is stopped, too."""
    path = lab.path("a.log")
    written(path, 0, COUNT)
    r = Stalled(lab, [tail(path, alias="a")], grace="%ds" % harness.DEADLINE if again else "200ms")
    r.wait_full()
    deleted_and_written_anew(path, COUNT + 100)
    r.change([tail(path, alias="a", tag="b")], [small()])
    r.wait_states("retiring", "running")
    r.weir.signal(signal.SIGTERM)
    if again:
        r.weir.wait_log("SIGTERM: stopping")
        r.weir.signal(signal.SIGTERM)
    r.weir.wait()
    assert "bytes could not be sent before the stop" in r.weir.log_text()
    came = numbers(r.come(), WIDTH)
    assert came == list(range(len(came))) and len(came) < COUNT
    os.close(r.reader)
