# SPDX-License-Identifier: Apache-2.0
"""An output that keeps positions, as weir's core sees one: a test plugin whose sink is a journal. What is committed there is
every line once and in order, whatever was killed, aborted, or in doubt."""
import random
import time

import pytest

import harness
from exact import forget_checkpoint, journal, keeper
from harness import Writer, append, lines, numbers, scaled, until
from reload import Reloaded, stdout, tail

RATE = 3000


def await_lines(lab, weir, count):
    until(lambda: len(journal(lab)) >= count or not weir.running(),
          lambda: "%d lines, of which %d are there; log: %s" % (count, len(journal(lab)), weir.log_text()[-3000:]))
    assert journal(lab) == list(range(count)), weir.log_text()[-3000:]


def start(lab, inputs, outputs, name):
    return lab.start(["-c", lab.config(inputs, outputs, plugins=["out_keeper"], name=name + ".yaml")], name=name)


def test_kills_aborts_and_doubts(lab):
    """kill -9 under load, with and without the local checkpoint, while every third transaction is given back, one way or the other;
    another output gets every line at least once, and before."""
    seed = time.time_ns() & 0xFFFFFFFF
    dice = random.Random(seed)
    path = lab.path("in.log")
    path.write_bytes(b"")
    inputs, outputs = [tail(path)], [keeper(lab, abort_every=3, doubt_every=5), stdout()]
    writer, seen = Writer(path, RATE), b""
    for turn in range(scaled(5, 3)):
        weir = start(lab, inputs, outputs, "turn%d" % turn)
        before = len(journal(lab))
        until(lambda: len(journal(lab)) > before or not weir.running(), lambda: "a commit (seed %d): %s" % (seed, weir.log_text()[-3000:]))
        time.sleep(dice.uniform(0, 0.4))  # the moment of the kill, not a wait
        weir.kill()
        seen += harness.whole_lines(weir.output())
        if dice.random() < 0.5:
            forget_checkpoint(lab)
    weir = start(lab, inputs, outputs, "last")
    weir.wait_log("is read again")  # a doubt, at the latest now
    count = writer.stop()
    await_lines(lab, weir, count)
    weir.stop()
    assert set(numbers(seen + weir.output())) == set(range(count)), "seed %d" % seed


def test_rotations_and_streams_that_go(lab):
    """Streams come and are forgotten while transactions are in doubt; none of their lines comes again from what is kept."""
    folder, count = lab.path("logs"), 0
    folder.mkdir()
    inputs = [tail(folder / "*.log", refresh_interval="100ms", rotate_wait="100ms")]
    for turn in range(3):
        weir = start(lab, inputs, [keeper(lab, doubt_every=2)], "turn%d" % turn)
        for number in range(3):
            path = folder / ("%d-%d.log" % (turn, number))
            append(path, lines(count, count + 50))
            count += 50
            await_lines(lab, weir, count)
            if number == 1:
                path.unlink()
        weir.kill()
        forget_checkpoint(lab)
    weir = start(lab, inputs, [keeper(lab)], "last")
    append(folder / "end.log", lines(count, count + 50))
    await_lines(lab, weir, count + 50)
    weir.stop()


def test_inputs_wait_for_it(lab):
    """Also those of a reload, and one of these that then can't start is left out: it ends nothing."""
    a, b = lab.path("a.log"), lab.path("b.log")
    a.write_bytes(lines(0, 10))
    b.write_bytes(lines(10, 20))
    broken = {"name": "counter", "alias": "broken", "broken": True}
    plugins = ["out_keeper", "in_counter"]
    r = Reloaded(lab, [tail(a, alias="a")], [stdout()], plugins=plugins)
    r.weir.wait_line(9)
    said = r.change([tail(a, alias="a"), tail(b, alias="b"), broken],
                    [stdout(), keeper(lab, wait_for=lab.path("go"))])
    assert "is in force" in said
    append(a, lines(20, 30))
    assert journal(lab) == [] and "broken" not in r.weir.log_text()
    lab.path("go").touch()
    until(lambda: sorted(journal(lab)) == list(range(10, 30)) or not r.weir.running(), lambda: r.weir.log_text()[-3000:])
    r.weir.wait_log("[broken] it is left out, and all others go on")
    append(b, lines(30, 40))
    until(lambda: sorted(journal(lab)) == list(range(10, 40)), lambda: r.weir.log_text()[-3000:])
    assert {one["alias"] for one in r.status()["inputs"]} == {"a", "b"}
    # The next reload tries it again.
    said = r.change([tail(a, alias="a"), tail(b, alias="b"), {**broken, "broken": False, "count": 0}],
                    [stdout(), keeper(lab, wait_for=lab.path("go"))])
    assert {one["alias"] for one in r.status()["inputs"]} == {"a", "b", "broken"}
    r.weir.stop()


def queued_when_full(r, alias, least):
    """What is queued once nothing more comes."""
    queued = []

    def is_full():
        queued.append(next(one["queued_bytes"] for one in r.status()["outputs"] if one["alias"] == alias))
        return queued[-1] > least and len(queued) > 5 and len(set(queued[-5:])) == 1
    until(is_full, lambda: "nothing more comes: %s" % queued)
    return queued[-1]


@pytest.mark.one_build
@pytest.mark.parametrize("settings,least,most", [({}, 100 << 20, 129 << 20), ({"queue_size": "16M"}, 10 << 20, 17 << 20)])
def test_its_queue_holds_more(lab, settings, least, most):
    """Chunks stay until their transaction is through: 128 MiB of them, unless it is said otherwise."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 75000, 1000) * 2)
    r = Reloaded(lab, [tail(path)], [keeper(lab, interval="1h", **settings)], plugins=["out_keeper"])
    assert queued_when_full(r, "keeper", least) < most
    r.weir.kill()


@pytest.mark.one_build
def test_little_is_read_ahead_of_it(lab):
    """Of what it was not given yet (another output stands still, and goes before it) 2 MiB are read, and not its whole queue."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 40000, 1000))
    still = {"name": "slow", "match": "*", "alias": "slow", "path": lab.path("slow.txt"), "delay": "1h", "queue_size": "64M"}
    r = Reloaded(lab, [tail(path)], [still, keeper(lab)], plugins=["out_slow", "out_keeper"])
    assert queued_when_full(r, "keeper", 1 << 20) < 4 << 20
    r.weir.kill()
