# SPDX-License-Identifier: Apache-2.0
"""Exactly once through many kills: kill -9 at each named point; and at random moments while files are written, renamed, truncated
after a copy, and come, go and change their topics through etcd. WEIR_EXACT_KILLS and WEIR_EXACT_POINTS say how many
(scripts/exactly-once runs the long form)."""
import os
import random
import time

import pytest

from etcd_agent import KEY, QUICK, entry
from exact import WIDTH, Rotating, check_committed, check_files, committed, forget_checkpoint, uncommitted
from harness import Writer, append, lines, until
from kafka_broker import output, ship_all
from test_spool import Client, spooled

pytest_plugins = ["kafka_fixtures", "etcd_fixtures"]
pytestmark = [pytest.mark.kafka, pytest.mark.one_build]

KILLS = int(os.environ.get("WEIR_EXACT_KILLS", "4"))
SPOOL_KILLS = int(os.environ.get("WEIR_EXACT_KILLS", "2"))
TURNS = int(os.environ.get("WEIR_EXACT_POINTS", "1"))
RATE = 5000
MOVING = 3  # files that etcd adds, removes, and sends elsewhere
STEP = 200  # lines


class Moving:
    """A file whose entry comes and goes and has one of two topics; its lines are in both together, once."""

    def __init__(self, lab, topic, number):
        self.path, self.id = lab.path("moving%d.log" % number), "moving%d" % number
        self.topics = ["%s.%s.%s" % (topic, self.id, which) for which in "ab"]
        self.path.write_bytes(b"")
        self.written, self.topic, self.there = 0, self.topics[0], True

    def write(self):
        append(self.path, lines(self.written, self.written + STEP, WIDTH))
        self.written += STEP

    def change(self, dice):
        self.there = dice.random() < 0.7
        self.topic = dice.choice(self.topics)

    def entry(self):
        return entry(self.path, self.topic, id=self.id)


class Field:
    """What is followed, and what is done to it. Outlives the weirs that follow it."""

    def __init__(self, lab, kafka, etcd, topic, exact, seed):
        self.lab, self.kafka, self.etcd, self.exact, self.dice = lab, kafka, etcd, exact, random.Random(seed)
        self.text = "(seed %d)" % seed
        self.rotating_topic, self.cut_topic = topic + ".rotating", topic + ".cut"
        self.cut, self.cut_written, self.cuts, self.changes = lab.path("cut.log"), 0, 0, 0
        self.cut.write_bytes(b"")
        self.moving = [Moving(lab, topic, number) for number in range(MOVING)]
        self.configure()
        self.rotating = Rotating(lab.path("rotating.log"), RATE, RATE)

    def configure(self):
        """Tells etcd what is to be followed now."""
        fixed = [entry(self.lab.path("rotating.log*"), self.rotating_topic, id="rotating"), entry(self.cut, self.cut_topic, id="cut")]
        self.etcd.quick_put(KEY, fixed + [one.entry() for one in self.moving if one.there])
        self.changes += 1

    def start(self, name):
        source = {"name": "etcd", "endpoints": self.etcd.endpoints(), "key": KEY, "tag": "t", **QUICK}
        sink = output(self.kafka, transaction_interval="50ms", **self.exact)
        return self.lab.start(["-c", self.lab.config([source], [sink], name=name + ".yaml")], name=name)

    def write_some(self):
        for one in self.moving:
            one.write()
        append(self.cut, lines(self.cut_written, self.cut_written + STEP, WIDTH))
        self.cut_written += STEP

    def change_some(self):
        for one in self.moving:
            if self.dice.random() < 0.5:
                one.change(self.dice)
        self.configure()

    def cut_copied(self, weir):
        """copytruncate, when all that was read is committed: what was read only is gone with the file, whoever reads it."""
        self.await_count(weir, [self.cut_topic], self.cut_written)
        with open(self.cut, "r+b") as file:
            file.truncate(0)
        self.cuts += 1

    def await_count(self, weir, topics, count):
        found = []

        def look():
            found[:] = [sum(len(committed(self.kafka, topic)) for topic in topics)]
            assert weir.running(), self.text + weir.log_text()[-4000:]
            return found[0] >= count
        until(look, lambda: "%d lines in %s, where %s are %s; log: %s" % (count, topics, found, self.text, weir.log_text()[-4000:]), 90)

    def turn(self, number):
        """A life of weir, ended at any moment."""
        self.write_some()
        weir = self.start("kill%d" % number)
        if number % 4 == 1:
            self.cut_copied(weir)
            self.write_some()
        for _ in range(self.dice.randrange(3)):
            time.sleep(self.dice.uniform(0, 0.3))  # moments of changes and of the kill, not waits
            self.change_some()
            self.write_some()
        time.sleep(self.dice.choice([self.dice.uniform(0, 0.1), self.dice.uniform(0, 1)]))
        assert weir.running(), self.text + weir.log_text()[-4000:]
        weir.kill()
        if self.dice.random() < 0.3:
            forget_checkpoint(self.lab)

    def check(self):
        """Everything comes back, and every line was committed once, in order for each file and topic."""
        for one in self.moving:
            one.there = True
        self.configure()
        count = self.rotating.stop()
        weir = self.start("last")
        self.await_count(weir, [self.rotating_topic], count)
        self.await_count(weir, [self.cut_topic], self.cut_written)
        for one in self.moving:
            self.await_count(weir, one.topics, one.written)
        weir.stop()
        check_files(committed(self.kafka, self.rotating_topic), self.rotating.begins, count, self.text)
        assert committed(self.kafka, self.cut_topic) == list(range(self.cut_written)), self.text
        for one in self.moving:
            found = [committed(self.kafka, topic) for topic in one.topics]
            assert all(numbers == sorted(numbers) for numbers in found), self.text
            assert sorted(found[0] + found[1]) == list(range(one.written)), "%s %s" % (one.id, self.text)
        topics = [self.rotating_topic, self.cut_topic, *(topic for one in self.moving for topic in one.topics)]
        total = count + self.cut_written + sum(one.written for one in self.moving)
        return total, sum(uncommitted(self.kafka, topic) for topic in topics) - total


def test_kills_with_everything(lab, kafka, topic, exact, etcd):
    seed = int(os.environ.get("WEIR_SEED", time.time_ns() & 0xFFFFFFFF))
    print("seed %d" % seed)
    field = Field(lab, kafka, etcd, topic, exact, seed)
    for number in range(KILLS):
        field.turn(number)
    total, repeated = field.check()
    print("%d kills, %d lines, once each; %d aborted and repeated, %d rotations, %d truncations, %d changes in etcd" % (
        KILLS, total, repeated, len(field.rotating.begins) - 1, field.cuts, field.changes))
    assert repeated > 0 or KILLS < 20, "nothing came twice: this test could not fail"


def check_spooled(found, promised, kills, text):
    """Every acknowledged line, in order; a kill may go back once, by what was committed just before it."""
    missing = set(promised) - set(found)
    assert not missing, "%d acknowledged lines are lost, first %d %s" % (len(missing), min(missing), text)
    first_times = list(dict.fromkeys(found))
    assert first_times == sorted(first_times), "what comes for the first time is out of order " + text
    back = sum(1 for before, after in zip(found, found[1:]) if after <= before)
    assert back <= kills, "%d times back, after %d kills %s" % (back, kills, text)


def test_kills_with_a_spool(lab, kafka, topic, exact):
    """Lines from a socket, which are acknowledged once they are on disk (`storage: disk`), in transactions to Kafka. They have no
    position that Kafka could keep: what was committed just before a kill may come again, and nothing else does."""
    seed = int(os.environ.get("WEIR_SEED", time.time_ns() & 0xFFFFFFFF))
    print("seed %d" % seed)
    dice, text, promised, first = random.Random(seed), "(seed %d)" % seed, [], 0
    sinks = [output(kafka, transaction_interval="50ms", **exact)]
    for turn in range(SPOOL_KILLS):
        weir = lab.start(spooled(lab, sinks, topic=topic), name="spool%d" % turn)
        client = Client(lab, first, WIDTH)
        for _ in range(20):
            client.put(dice.randrange(1, 200))
        client.settle()
        if dice.random() < 0.6:  # the others are killed before Kafka has anything
            before = kafka.count(topic)
            until(lambda: client.put(20) and kafka.count(topic) > before, lambda: "it sends; " + text + weir.log_text()[-3000:])
        time.sleep(dice.uniform(0, 0.2))  # the moment of the kill, not a wait
        weir.kill()
        client.work()
        client.close()
        promised += range(client.first, client.acknowledged)
        first = client.next  # of those that were not acknowledged some may come, and some not
    weir = lab.start(spooled(lab, sinks, topic=topic), name="last")
    client = Client(lab, first, WIDTH)
    client.put(1)
    until(lambda: client.work() and first in committed(kafka, topic), lambda: "the last line; " + text + weir.log_text()[-3000:], 90)
    before = committed(kafka, topic)
    weir.stop()
    # After an orderly end nothing comes again.
    weir = lab.start(spooled(lab, sinks, topic=topic), name="after")
    client = Client(lab, first + 1, WIDTH)
    client.put(1)
    until(lambda: client.work() and first + 1 in committed(kafka, topic), lambda: "one more; " + text + weir.log_text()[-3000:])
    weir.stop()
    found = committed(kafka, topic)
    assert found == before + [first + 1], text
    check_spooled(found, [*promised, first, first + 1], SPOOL_KILLS, text)
    print("%d kills, %d lines that were acknowledged, none lost; %d committed again" % (
        SPOOL_KILLS, len(promised), len(found) - len(set(found))))


POINTS = ["kafka-starting:1", "kafka-owner:1", "kafka-produced:2", "kafka-before-positions:2", "kafka-after-positions:2",
          # The first one of these is the owner's.
          "kafka-in-commit:3", "kafka-committed:2", "kafka-finished:2"]


def test_kill_at_each_point(lab, kafka, topic, exact):
    """kill -9 at each named point, under load; now and then without the local checkpoint."""
    path = lab.path("in.log")
    path.write_bytes(b"")
    writer = Writer(path, RATE, width=WIDTH)
    for turn in range(TURNS):
        for number, point in enumerate(POINTS):
            source = {"name": "tail", "path": path, "tag": "t", "topic": topic, "read_from_head": True}
            config = lab.config([source], [output(kafka, transaction_interval="20ms", **exact)])
            lab.start(["-c", config], name="%d.%s" % (turn, point), env={"WEIR_KILL_POINT": point}).wait(-9)
            if (turn + number) % 2:
                forget_checkpoint(lab)
    count = writer.stop()
    ship_all(lab, kafka, path, topic, name="last", **exact)
    check_committed(kafka, topic, count)
    assert uncommitted(kafka, topic) > count, "nothing came twice: this test could not fail"
