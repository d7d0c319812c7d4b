# SPDX-License-Identifier: Apache-2.0
"""Exactly once: whoever reads committed messages sees every line once and in order, whatever happens to weir and to Kafka.
Each of these tests has positions of its own, in a topic that is named after it."""
import re
import shutil
import signal
import subprocess
import time

import pytest

import harness
from exact import WIDTH, await_lines, check_committed, committed, forget_checkpoint, read_all, read_some, uncommitted
from harness import Writer, append, line, lines, numbers, scaled, until
from kafka_broker import FULL, ask, output, ship, ship_all

pytest_plugins = ["kafka_fixtures"]
pytestmark = [pytest.mark.kafka, pytest.mark.one_build]

RATE = 20000
LONG = pytest.mark.skipif(not FULL, reason="for WEIR_TEST_SCALE above 1")


def test_kafka_says_where_to_go_on(lab, kafka, topic, exact):
    """Without the local checkpoint too: positions are read from Kafka, with the identity of their file."""
    count = 5000
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    ship_all(lab, kafka, path, topic, **exact)
    check_committed(kafka, topic, count)
    forget_checkpoint(lab)
    append(path, lines(count, count + 1000, WIDTH))
    ship_all(lab, kafka, path, topic, name="again", **exact)
    check_committed(kafka, topic, count + 1000)


def test_killed_in_an_open_transaction(lab, kafka, topic, exact):
    """What was sent and not committed is sent again, and only the second time counts."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 2000, WIDTH))
    weir = ship(lab, kafka, path, topic, transaction_interval="10s", **exact)
    for count in range(2000, 20000, 2000):
        until(lambda: uncommitted(kafka, topic) >= count, lambda: "the lines; log: " + weir.log_text())
        weir.freeze()
        if len(committed(kafka, topic)) < count:
            break
        weir.thaw()  # the look took so long that it was over
        append(path, lines(count, count + 2000, WIDTH))
    weir.kill()
    append(path, lines(count, count + 1000, WIDTH))
    ship_all(lab, kafka, path, topic, name="again", **exact)
    check_committed(kafka, topic, count + 1000)
    until(lambda: uncommitted(kafka, topic) >= count + 2000, lambda: "what was sent twice: %d" % uncommitted(kafka, topic))


def test_truncated_between_kills(lab, kafka, topic, exact):
    """copytruncate, each time when all that was written is committed: what cannot be promised is only that moment."""
    path, count = lab.path("in.log"), 0
    path.write_bytes(b"")
    for turn in range(scaled(3, 2)):
        weir = ship(lab, kafka, path, topic, name="turn%d" % turn, transaction_interval="20ms", **exact)
        append(path, lines(count, count + 500, WIDTH))
        count += 500
        await_lines(weir, kafka, topic, count)
        if turn % 2:
            weir.kill()
        with open(path, "r+b") as file:
            file.truncate(0)
        append(path, lines(count, count + 700, WIDTH))
        count += 700
        if not turn % 2:
            await_lines(weir, kafka, topic, count)
            weir.kill()
        forget_checkpoint(lab)
    ship_all(lab, kafka, path, topic, name="last", **exact)
    check_committed(kafka, topic, count)


def test_twin_is_shut_out(lab, kafka, topic, exact):
    """A second weir with a copy of data_dir goes on, and the first one stays down, and says so."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    socket = lab.path("admin")
    weir = ship(lab, kafka, path, topic, service={"http_server": "on", "http_listen": "unix:%s" % socket}, **exact)
    await_lines(weir, kafka, topic, 1000)
    shutil.copytree(lab.path("data"), lab.path("copy"))
    twin = ship(lab, kafka, path, topic, name="twin", service={"data_dir": lab.path("copy")}, **exact)
    twin.wait_log("positions are in")
    append(path, lines(1000, 3000, WIDTH))
    await_lines(twin, kafka, topic, 3000)
    weir.wait_log("is used by another weir now")
    append(path, lines(3000, 4000, WIDTH))
    await_lines(twin, kafka, topic, 4000)
    status, body = ask(socket, "/readyz")
    assert status == 503 and "shut out" in body
    weir.signal(signal.SIGTERM)
    weir.wait_log("stopping")  # two signals at once may be one
    weir.signal(signal.SIGTERM)
    weir.wait(0)
    twin.stop()
    ship_all(lab, kafka, path, topic, name="first", **exact)
    check_committed(kafka, topic, 4000)


@pytest.mark.parametrize("settings,words", [
    ({"acks": "1"}, b"needs acks: all"),
    ({"transaction_interval": "9s", "rdkafka.transaction.timeout.ms": "10000"}, b"more than half of"),
    ({"positions_topic": "a/b"}, b"positions_topic: 'a/b'"),
    ({"transactional_id": "a b"}, b"transactional_id: 'a b'"),
    ({"rdkafka.isolation.level": "read_committed"}, b"rdkafka.isolation.level can't be set here"),
    ({"rdkafka.enable.idempotence": "false"}, b"idempotence"),
])
def test_what_cannot_be(lab, kafka_ready, settings, words):
    source = {"name": "tail", "path": lab.path("in.log"), "tag": "t"}
    sink = {"name": "kafka", "match": "*", "brokers": "127.0.0.1:1", "delivery": "exactly_once", **settings}
    status, _, said = harness.run(["check", "-c", lab.config([source], [sink])], lab.folder)
    assert status == 1 and words in said, said
    sink = {"name": "kafka", "match": "*", "brokers": "127.0.0.1:1", "delivery": "exactly_once"}
    assert harness.run(["check", "-c", lab.config([source], [sink])], lab.folder)[0] == 0
    status, _, said = harness.run(["check", "-c", lab.config([source], [sink, sink])], lab.folder)
    assert status == 1 and b"2 outputs that keep positions take records" in said
    status, _, said = harness.run(["check", "-c", lab.config([source], [sink], data_dir=False, service={"data_dir": ""})], lab.folder)
    assert status == 1 and b"needs service.data_dir" in said


def used_id(lab):
    text = next(lab.path("data").glob("kafka-*.transactions")).read_text()
    return re.match(r"id (\S+)\n", text)[1]


def refused(lab, kafka, path, topic, exact, *words):
    weir = ship(lab, kafka, path, topic, name="refused", tail={"exit_on_eof": True}, **exact)
    weir.wait(2)
    for word in words:
        assert word in weir.log_text(), weir.log_text()


def test_positions_that_vanished_are_missed(lab, kafka, topic, exact):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    ship_all(lab, kafka, path, topic, **exact)
    kafka.tool("topics", "--delete", "--topic", exact["positions_topic"])
    until(lambda: kafka.read(exact["positions_topic"]) is None, "the topic is gone")
    refused(lab, kafka, path, topic, exact, exact["positions_topic"] + " is not there", "kafka-kafka.0.transactions")
    kafka.create(exact["positions_topic"], 16, cleanup_policy="compact")
    until(lambda: kafka.read(exact["positions_topic"]) == [], "the topic is there again")
    refused(lab, kafka, path, topic, exact, exact["positions_topic"] + " holds nothing of it")
    check_committed(kafka, topic, 1000)
    # What the message says: without that file it goes on from the local checkpoint.
    next(lab.path("data").glob("kafka-*.transactions")).unlink()
    append(path, lines(1000, 1100, WIDTH))
    ship_all(lab, kafka, path, topic, name="anew", **exact)
    check_committed(kafka, topic, 1100)


@pytest.mark.parametrize("value,words", [
    ("9\tsomething", "in a newer format"),
    pytest.param("nonsense", "holds what weir did not write", marks=LONG),
])
def test_positions_that_weir_does_not_know(lab, kafka, topic, exact, value, words):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    ship_all(lab, kafka, path, topic, **exact)
    key = used_id(lab)
    partition = read_some(kafka, exact["positions_topic"])[0].partition
    subprocess.run(["kcat", "-P", "-b", kafka.address, "-t", exact["positions_topic"], "-p", str(partition), "-K", "|"],
                   input=("%s\ttail:x\ty|%s\n" % (key, value)).encode(), timeout=60, check=True)
    refused(lab, kafka, path, topic, exact, words)


def test_a_topic_that_forgets_is_no_place_for_positions(lab, kafka, topic, exact):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10, WIDTH))
    subprocess.run(["kcat", "-P", "-b", kafka.address, "-t", exact["positions_topic"]], input=b"x", timeout=60, check=True)
    refused(lab, kafka, path, topic, exact, "cleanup.policy=delete", "must be compact")


@LONG
def test_broker_killed_and_back(lab, kafka, topic, exact):
    path = lab.path("in.log")
    path.write_bytes(b"")
    weir = ship(lab, kafka, path, topic, **exact)
    writer = Writer(path, RATE // 4, width=WIDTH)
    until(lambda: kafka.count(topic) > 500, lambda: "load; log: " + weir.log_text())
    kafka.do("kill")
    kafka.do("start")
    await_lines(weir, kafka, topic, writer.stop(), deadline=90)
    weir.stop()


def committed_of(kafka, topic, least):
    """How many lines are committed, where so many surely are: fewer is an answer that did not come."""
    found = []

    def look():
        found[:] = [len(committed(kafka, topic))]
        return found[0] >= least
    until(look, "an answer")
    return found[0]


def marks(kafka, topic):
    """How many ends of transactions there are, while nothing is sent."""
    lines_there = uncommitted(kafka, topic)
    return kafka.sure_count(topic) - lines_there if lines_there else 0


def test_transaction_that_times_out(lab, kafka, topic, exact):
    """The broker ends it while weir stands still: nobody else has the id, so weir goes on."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 100, WIDTH))
    weir = ship(lab, kafka, path, topic, transaction_interval="2s", rdkafka={"transaction.timeout.ms": "4000"}, **exact)
    committed_before = marks_before = 0
    for count in range(100, 10000, 100):
        until(lambda: uncommitted(kafka, topic) >= count, "lines of an open transaction")
        weir.freeze()
        # Of the abort, or of a commit that was on its way. On a busy machine either may be there by now.
        until(lambda: marks(kafka, topic) > marks_before, "the mark of its end", deadline=60)
        if max(committed_of(kafka, topic, committed_before) for _ in range(3)) < count:
            break
        committed_before, marks_before = count, until(lambda: marks(kafka, topic), "an answer")
        weir.thaw()
        append(path, lines(count, count + 100, WIDTH))
    weir.thaw()
    append(path, lines(count, count + 100, WIDTH))
    await_lines(weir, kafka, topic, count + 100)
    assert uncommitted(kafka, topic) > count + 100
    weir.stop()


@LONG
def test_another_output_of_the_same_input(lab, kafka, topic, exact):
    """It gets every line at least once, and is never behind what Kafka keeps."""
    path = lab.path("in.log")
    path.write_bytes(b"")
    source = {"name": "tail", "path": path, "tag": "t", "topic": topic, "read_from_head": True}
    sinks = [output(kafka, transaction_interval="20ms", **exact), {"name": "stdout", "match": "*", "format": "raw"}]
    writer = Writer(path, RATE, width=WIDTH)
    seen = b""
    for turn in range(3):
        weir = lab.start(["-c", lab.config([source], sinks, name="two%d.yaml" % turn)], name="two%d" % turn)
        until(lambda: len(weir.output()) > 20000, "output")
        time.sleep(0.2 * turn)  # the moment of the kill, not a wait
        weir.kill()
        forget_checkpoint(lab)
        seen += harness.whole_lines(weir.output())
    count = writer.stop()
    last = lab.start(["-c", lab.config([{**source, "exit_on_eof": True}], sinks, name="last.yaml")], name="last")
    last.wait(0, 60)
    check_committed(kafka, topic, count)
    assert set(numbers(seen + last.output(), WIDTH)) == set(range(count))


def test_refused_records_do_not_hold_up_the_rest(lab, kafka, topic, exact):
    """One too large for the topic, in the middle of a transaction: to the dead letters, and the others once."""
    kafka.create(topic, max_message_bytes=2000)
    path = lab.path("in.log")
    large = b"L" * 5000
    path.write_bytes(lines(0, 500, WIDTH) + large + b"\n" + lines(500, 1000, WIDTH))
    ship_all(lab, kafka, path, topic, dead_letter_topic=topic + ".dead", rdkafka={"batch.size": "1500"}, **exact)
    check_committed(kafka, topic, 1000)
    letters = read_some(kafka, topic + ".dead")
    assert [message.value for message in letters] == [large]
    append(path, line(1000, WIDTH))
    ship_all(lab, kafka, path, topic, name="again", dead_letter_topic=topic + ".dead", **exact)
    check_committed(kafka, topic, 1001)
    assert len(read_some(kafka, topic + ".dead")) == 1


def test_aborts_keep_the_order(lab, kafka, topic, exact):
    """Where a transaction is aborted while the next chunk waits for it, that one does not go before those that come again."""
    kafka.create(topic, max_message_bytes=20000)
    path = lab.path("in.log")
    path.write_bytes(b"".join(lines(first, first + 4000, WIDTH) + b"L" * 30000 + b"\n" for first in range(0, 20000, 4000)))
    ship_all(lab, kafka, path, topic, transaction_size="64K", rdkafka={"batch.size": "15000"}, **exact)
    check_committed(kafka, topic, 20000)


def test_letters_that_are_refused_too(lab, kafka, topic, exact):
    """The dead letter topic takes none of them: they are only counted, and the others come once."""
    for name in (topic, topic + ".dead"):
        kafka.create(name, max_message_bytes=2000)
    path = lab.path("in.log")
    path.write_bytes(lines(0, 500, WIDTH) + b"L" * 5000 + b"\n" + lines(500, 1000, WIDTH))
    weir = ship_all(lab, kafka, path, topic, dead_letter_topic=topic + ".dead", rdkafka={"batch.size": "1500"}, **exact)
    check_committed(kafka, topic, 1000)
    assert read_all(kafka, topic + ".dead", "read_committed") == []
    assert f"dead_letter_topic {topic}.dead takes no message (Broker: Message size too large)" in weir.log_text()
    assert "rejected 1 records" in weir.log_text()


class Transaction:
    """Of another host, open until it is ended: messages in the partition where that id's positions are, as many as kcat reads at once
    and more."""

    def __init__(self, kafka, topic, partition):
        self.process = subprocess.Popen(
            ["kcat", "-P", "-b", kafka.address, "-t", topic, "-p", str(partition), "-K", "|", "-X", "transactional.id=another",
             "-X", "transaction.timeout.ms=600000", "-X", "linger.ms=0"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        before = len(read_some(kafka, topic, "read_uncommitted"))
        self.process.stdin.write(b"another\tinput\tstream|1\t7\t0\t\n" * 5000)
        self.process.stdin.flush()
        until(lambda: len(read_all(kafka, topic, "read_uncommitted")) > before, "the other's message")

    def commit(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


def test_another_hosts_open_transaction(lab, kafka, topic, exact):
    """Positions behind it can't be read before it ends: they are waited for, and not taken for missing."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    weir = ship(lab, kafka, path, topic, **exact)
    await_lines(weir, kafka, topic, 1000)
    partition = read_some(kafka, exact["positions_topic"])[0].partition
    other = Transaction(kafka, exact["positions_topic"], partition)
    append(path, lines(1000, 2000, WIDTH))
    await_lines(weir, kafka, topic, 2000)
    weir.kill()
    forget_checkpoint(lab)
    append(path, lines(2000, 3000, WIDTH))
    again = ship(lab, kafka, path, topic, name="again", **exact)
    again.wait_log("another producer's transaction is open there")
    check_committed(kafka, topic, 2000)
    assert "is followed from" not in again.log_text()
    other.commit()
    await_lines(again, kafka, topic, 3000)
    again.stop()


def test_reload_hands_over(lab, kafka, topic, exact):
    """An output with other options follows on the old one, under load."""
    path = lab.path("in.log")
    path.write_bytes(b"")
    weir = ship(lab, kafka, path, topic, **exact)
    writer = Writer(path, RATE, width=WIDTH)
    until(lambda: kafka.count(topic) > 500, lambda: "load; log: " + weir.log_text())
    for turn in range(2):
        source = {"name": "tail", "path": path, "tag": "t", "topic": topic, "read_from_head": True}
        lab.config([source], [output(kafka, transaction_interval="%dms" % (20 + turn), **exact)], name="weir.yaml")
        weir.signal(signal.SIGHUP)
        weir.wait_log("generation %d is in force" % (turn + 2))
    await_lines(weir, kafka, topic, writer.stop())
    weir.stop()
