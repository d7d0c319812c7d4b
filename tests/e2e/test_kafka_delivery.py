# SPDX-License-Identifier: Apache-2.0
"""Every line once and in order, in the topic where it belongs; kill -9 under load loses none."""
import random
import time

import pytest

import harness
from harness import Writer, append, kept_offsets, line, lines, scaled, until
from kafka_broker import output, runs_of, ship, ship_all

pytest_plugins = ["kafka_fixtures"]
pytestmark = pytest.mark.kafka

WIDTH = 100


def check_numbered(lab, kafka, topic, count):
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    ship_all(lab, kafka, path, topic)
    assert kafka.numbers(topic, width=WIDTH) == list(range(count))
    # Idempotence is on unless something says otherwise: the broker knows the producer and its sequence.
    batches = kafka.batches(topic)
    assert sum(batch.count for batch in batches) == count
    assert all(batch.producer >= 0 and batch.sequence >= 0 for batch in batches)


@pytest.mark.asan_too
def test_numbered_lines_once_and_in_order(lab, kafka, topic):
    check_numbered(lab, kafka, topic, scaled(300000, 30000))


def test_numbered_lines_on_other_versions(lab, other_kafka, topic):
    check_numbered(lab, other_kafka, "numbered", scaled(60000, 10000))
    check_exactly_once(lab, other_kafka)


def check_exactly_once(lab, kafka):
    """With a kill, and positions that only Kafka has."""
    path = lab.path("exact.log")
    path.write_bytes(lines(0, 2000))
    weir = ship(lab, kafka, path, "exact", name="exact", service={"data_dir": lab.path("exact")}, delivery="exactly_once")
    kafka.messages("exact", 2000)  # kcat reads what is committed
    weir.kill()
    lab.path("exact/checkpoint.db").unlink()
    append(path, lines(2000, 3000))
    ship_all(lab, kafka, path, "exact", name="exact2", service={"data_dir": lab.path("exact")}, delivery="exactly_once")
    assert kafka.numbers("exact") == list(range(3000))


def test_topics_by_tag_and_by_topic(lab, kafka):
    """The record's topic, else its tag; and Kafka's own consumer prints the lines."""
    count = 1000
    lab.path("access.log").write_bytes(lines(0, count))
    lab.path("check.log").write_bytes(lines(count, 2 * count))
    common = {"name": "tail", "read_from_head": True, "exit_on_eof": True}
    config = lab.config([{**common, "path": lab.path("access.log"), "tag": "web.access", "topic": "web_log"},
                         {**common, "path": lab.path("check.log"), "tag": "checkService"}], [output(kafka)])
    lab.start(["-c", config]).wait(0)
    assert kafka.numbers("web_log") == list(range(count))
    assert kafka.numbers("checkService") == list(range(count, 2 * count))
    printed = kafka.tool("consumer", "--topic", "web_log", "--from-beginning", "--max-messages", count)
    assert lines(0, count).decode() in printed


@pytest.mark.parametrize("template,expected", [
    ("fixed", "fixed"),
    ("logs-${tag}", "logs-web.access"),
    ("${topic}.${tag}", "web_log.web.access"),
])
def test_topics_option(lab, kafka, template, expected):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10))
    ship_all(lab, kafka, path, "web_log", tail={"tag": "web.access"}, topics=template)
    assert kafka.numbers(expected) == list(range(10))


def test_topic_of_a_field_keeps_its_prefix(lab, kafka):
    """A path in a name: slashes are mapped, and no value leads out of what the template says first."""
    for name in ("a", "b"):
        lab.path(name + ".log").write_bytes(lines(0, 10))
    ship_all(lab, kafka, lab.path("*.log"), "unused", tail={"path_key": "file"}, topics="by-path-$${file}")
    listed = kafka.tool("topics", "--list").split()
    made = [name for name in listed if name.startswith("by-path-")]
    assert len(made) == 2 and "unused" not in listed, listed
    for name in made:
        assert kafka.numbers(name) == list(range(10))


def test_ten_kills_lose_nothing(lab, kafka, topic):
    """kill -9 at random moments under load: nothing is lost, and only what was in flight comes twice."""
    seed = time.time_ns() & 0xFFFFFFFF
    print("seed", seed)
    dice = random.Random(seed)
    path = lab.path("in.log")
    path.write_bytes(b"")
    kafka.create(topic)
    writer = Writer(path, 100000 if not harness.SANITIZER else 10000)
    service = {"checkpoint_interval": "50ms"}
    kills, kept = scaled(10, 4), [0]
    for turn in range(kills):
        weir = ship(lab, kafka, path, topic, name="kill%d" % turn, service=service)
        if turn % 2:
            until(lambda: kept_number(lab) > kept[-1], lambda: "another position is kept: " + weir.log_text()[-3000:])
        time.sleep(dice.uniform(0.05, 1.5) * (3 if harness.SANITIZER else 1))  # the moment of the kill, not a wait
        weir.kill()
        kept.append(kept_number(lab))
    count = writer.stop()
    ship_all(lab, kafka, path, topic, name="last", service=service)
    check_runs(kafka.numbers(topic), count, kept, seed)

    # After that clean end: exactly once.
    before = kafka.sure_count(topic)
    append(path, lines(count, count + 1000))
    ship_all(lab, kafka, path, topic, name="after", service=service)
    assert kafka.sure_count(topic) == before + 1000


def kept_number(lab):
    """The line that a start would go on with."""
    if not (lab.path("data") / "checkpoint.db").exists():
        return 0
    found = []

    def look():
        found[:] = [kept_offsets(lab.path("data"))]
        return found[0] is not None
    until(look, "the positions")
    return max(found[0].values(), default=0) // len(line(0))


def check_runs(found, count, kept, seed):
    """Each start goes back to what was kept as acknowledged: a kill repeats what was in flight, and never skips. What the killed one
    had sent last may be taken by a busy broker when the next one sends already: then there are pieces that go on where another ended."""
    text = "(seed %d)" % seed
    missing = set(range(count)) - set(found)
    assert not missing, "lost %d lines, first %d %s" % (len(missing), min(missing), text)
    runs = runs_of(found)
    starts, ends = [], set()
    for begin, end in runs:
        assert begin <= max(ends, default=-1) + 1, "a gap: %s %s" % (runs, text)
        if begin - 1 not in ends:
            starts.append(begin)
        ends.add(end)
    assert len(starts) <= len(kept) and len(runs) <= 3 * len(kept), "out of order: %s %s" % (runs[:40], text)
    assert set(starts) <= set(kept), "repeated more than was in flight: %s, kept were %s %s" % (runs, kept, text)
    assert starts == sorted(starts), "an older position is kept: %s %s" % (runs, text)


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acks(lab, kafka, topic, acks):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 5000))
    kafka.create_and_wait(topic)
    weir = ship(lab, kafka, path, topic, acks=acks)
    found = kafka.numbers(topic, 5000)
    weir.stop()  # not before: without acknowledgements, what is on its way when the connection goes may be lost
    assert found == list(range(5000))
    assert all((batch.producer >= 0) == (acks == "all") for batch in kafka.batches(topic))


def test_idle_line_arrives_at_once(lab, kafka, topic):
    """No flush timer stands between a line and the broker."""
    path = lab.path("in.log")
    path.write_bytes(line(0))
    weir = ship(lab, kafka, path, topic)
    kafka.messages(topic, 1)
    took = []
    for number in range(1, 6):
        begin = time.monotonic()
        append(path, line(number))
        until(lambda: kafka.count(topic) == number + 1, "the line")
        took.append(time.monotonic() - begin)
    weir.stop()
    # A timer would hold every one of them up; a busy machine does not.
    assert min(took) < 1.0, took
