# SPDX-License-Identifier: Apache-2.0
"""A broker that is killed, stands still, is not there or loses its leader: nothing is lost, and while weir lives
nothing comes twice; memory stays within its bound."""
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

import harness
from exact import await_lines, committed
from harness import Writer, append, lines, scaled, until
from kafka_broker import FULL, MEBIBYTE, ask, cpu_seconds, hold, peak_memory, ship, ship_all

pytest_plugins = ["kafka_fixtures"]
pytestmark = pytest.mark.kafka

WIDTH = 200
RATE = 10000 if not harness.SANITIZER else 2000
LONG = pytest.mark.skipif(not FULL, reason="for WEIR_TEST_SCALE above 1")
LIMIT = {"memory_limit": "16M"}
# What the program takes by itself, and for each byte within the limit, with lines this short: the chunk, librdkafka's
# record of the message, its copy in a request that waits for an answer, and what malloc loses between them. Measured:
# 65 MiB at most in 20 faults, and no growth from one to the next.
BOUND = (20 + 4 * 16) * MEBIBYTE


def bounded(weir):
    if not harness.SANITIZER:
        assert peak_memory(weir) < BOUND, "%d MiB" % (peak_memory(weir) / MEBIBYTE)


def finish(weir, kafka, topic, count):
    """Until all of it is there, then an orderly end; each line once and in order."""
    until(lambda: kafka.count(topic) >= count, lambda: "%d lines in %s; %d are; log: %s" % (
        count, topic, kafka.count(topic), weir.log_text()[-3000:]), deadline=90)
    bounded(weir)
    weir.stop()
    assert kafka.numbers(topic, count, WIDTH) == list(range(count))


class Load:
    """weir under load, with some lines delivered already."""

    def __init__(self, lab, kafka, topic, **settings):
        self.kafka, self.topic = kafka, topic
        kafka.create(topic)
        path = lab.path("in.log")
        path.write_bytes(b"")
        self.weir = ship(lab, kafka, path, topic, service=LIMIT, **settings)
        self.writer = Writer(path, RATE, width=WIDTH)
        until(lambda: kafka.count(topic) > RATE // 2, lambda: "load; log: " + self.weir.log_text())

    def finish(self):
        finish(self.weir, self.kafka, self.topic, self.writer.stop())


def test_broker_killed_and_back(lab, kafka, topic):
    load = Load(lab, kafka, topic)
    kafka.do("kill")
    hold(load.weir, 10 if FULL else 5)
    kafka.do("start")
    load.finish()
    # The first failure, with the broker's address, and that it is over; not a line for every message or attempt.
    said = [entry for entry in load.weir.log_text().splitlines() if " warn " in entry or " error " in entry]
    assert 1 <= len(said) <= 10 and any("127.0.0.1:%d" % kafka.port in entry for entry in said), load.weir.log_text()
    assert "delivered again" in load.weir.log_text()


@pytest.mark.parametrize("timeout", [None, "3000"], ids=["patient", "requests-time-out"])
def test_broker_stands_still(lab, kafka, topic, timeout):
    """SIGSTOP: connections stay open and say nothing. What timed out was perhaps taken all the same. Full batches wait for
    an answer that does not come, which must not keep a processor busy."""
    load = Load(lab, kafka, topic, rdkafka={"socket.timeout.ms": timeout} if timeout else {})
    kafka.do("pause")
    before = cpu_seconds(load.weir)
    seconds = 60 if FULL else 12
    hold(load.weir, seconds)
    if not harness.SANITIZER:
        assert cpu_seconds(load.weir) - before < 0.15 * seconds
    kafka.do("resume")
    load.finish()


def test_broker_absent_at_the_start(lab, kafka, topic):
    """More than fits in memory waits in the file; waiting costs next to no CPU. The topic is made by what comes first: the
    time that it may take for that does not run while no broker is there."""
    count = scaled(300000, 50000)
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    kafka.do("kill")
    weir = ship(lab, kafka, path, topic, service=LIMIT,
                rdkafka={} if FULL else {"topic.metadata.propagation.max.ms": "4000"})
    weir.wait_log("127.0.0.1:%d" % kafka.port)
    before = cpu_seconds(weir)
    seconds = 30 if FULL else 5
    hold(weir, seconds)
    if not harness.SANITIZER:
        assert cpu_seconds(weir) - before < 0.1 * seconds
    kafka.do("start")
    finish(weir, kafka, topic, count)


def test_ready_again_with_nothing_to_send(lab, kafka, topic):
    """Trouble is over when a broker is connected, not only when something was delivered."""
    path = lab.path("in.log")
    path.touch()
    kafka.do("kill")
    admin = lab.path("admin")
    weir = ship(lab, kafka, path, topic, service={"http_server": True, "http_listen": "unix:%s" % admin},
                rdkafka={"statistics.interval.ms": "500"})
    weir.wait_log("127.0.0.1:%d" % kafka.port)
    until(lambda: ask(admin, "/readyz")[0] == 503, "that it is not ready")
    kafka.do("start")
    until(lambda: ask(admin, "/readyz")[0] == 200, lambda: "that it is ready; log: " + weir.log_text())
    assert "Kafka can be reached again" in weir.log_text()
    weir.stop()


@pytest.mark.asan_too
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill-9", "stopped"])
def test_broker_gone_while_weir_ends(lab, kafka, topic, number):
    """What was read while the broker was away, and not delivered, is read again by the next weir."""
    count = 20000
    path = lab.path("in.log")
    path.write_bytes(lines(0, count, WIDTH))
    service = {"grace": "300ms", "checkpoint_interval": "20ms"}
    ship_all(lab, kafka, path, topic, name="first", service=service)
    kafka.do("kill")
    append(path, lines(count, 2 * count, WIDTH))
    weir = ship(lab, kafka, path, topic, name="second", service=service)
    until(lambda: weir.bytes_read() >= count * WIDTH, "it reads what has come")
    weir.wait_log("127.0.0.1:%d" % kafka.port)
    weir.signal(number)
    weir.wait(0 if number == signal.SIGTERM else -9)
    kafka.do("start")
    append(path, lines(2 * count, 3 * count, WIDTH))
    ship_all(lab, kafka, path, topic, name="third", service=service)
    assert kafka.numbers(topic, width=WIDTH) == list(range(3 * count))


def test_random_faults(lab, kafka, topic):
    """Kills and standstills of random length, one after the other, with requests that time out on the way."""
    seed = time.time_ns() & 0xFFFFFFFF
    print("seed", seed)
    dice = random.Random(seed)
    kafka.create(topic, partitions=3)
    path = lab.path("in.log")
    path.write_bytes(b"")
    weir = ship(lab, kafka, path, topic, service=LIMIT, rdkafka={"socket.timeout.ms": "1500"})
    writer = Writer(path, RATE, width=WIDTH)
    for _ in range(20 if FULL else 3):
        hold(weir, dice.uniform(0.2, 2))
        fault = dice.choice(["kill", "pause"])
        kafka.do(fault)
        hold(weir, dice.uniform(0.2, 4))
        kafka.do("start" if fault == "kill" else "resume")
    count = writer.stop()
    found = kafka.messages(topic, count, deadline=90)
    bounded(weir)
    weir.stop()
    assert len(kafka.messages(topic)) == len(found)
    everything = []
    for partition in range(3):
        mine = harness.numbers(b"".join(message.value + b"\n" for message in found if message.partition == partition),
                               WIDTH)
        assert mine == sorted(mine), "partition %d is out of order" % partition
        everything += mine
    assert sorted(everything) == list(range(count)), weir.log_text()[-4000:]


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_leader_of_three_goes(lab, cluster, topic, how):
    load = Load(lab, cluster, topic, rdkafka={"socket.timeout.ms": "5000"})
    leader = until(lambda: max(0, cluster.leader(topic)), "a leader")
    cluster.do(how, leader)
    until(lambda: cluster.leader(topic) not in (leader, -1), "another leader", 90)
    sent = cluster.sure_count(topic)
    until(lambda: cluster.count(topic) > sent + RATE, "it goes on with the new leader", 90)
    cluster.do("start" if how == "kill" else "resume", leader)
    load.finish()


def java_hash(text):
    """String.hashCode, by which Kafka finds the partition of a transactional id."""
    found = 0
    for character in text:
        found = (31 * found + ord(character)) & 0xFFFFFFFF
    return found if found < 1 << 31 else found - (1 << 32)


def coordinator(kafka, transactional_id):
    """The node that leads the partition of __transaction_state where that id is; -1 while none does."""
    done = subprocess.run(["kcat", "-L", "-b", kafka.address, "-t", "__transaction_state"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    leaders = dict(re.findall(r"partition (\d+), leader (-?\d+)", done.stdout))
    return int(leaders[str((java_hash(transactional_id) & 0x7FFFFFFF) % len(leaders))]) if leaders else -1


@pytest.mark.one_build
@pytest.mark.parametrize("how", ["stop", pytest.param("kill", marks=LONG)])
def test_coordinator_of_three_moves(lab, cluster, topic, exact, how):
    """Another broker takes the transactions over, under load: committed are each line once and in order."""
    path = lab.path("in.log")
    path.write_bytes(b"")
    cluster.create(topic)
    weir = ship(lab, cluster, path, topic, transactional_id="mover", transaction_interval="20ms", rdkafka={"socket.timeout.ms": "5000"},
                **exact)
    writer = Writer(path, 2000, width=WIDTH)
    until(lambda: len(committed(cluster, topic, WIDTH)) > 500, lambda: "load; log: " + weir.log_text())
    for _ in range(2 if FULL else 1):
        node = until(lambda: max(0, coordinator(cluster, "mover")), "a coordinator")
        cluster.do(how, node)
        until(lambda: coordinator(cluster, "mover") not in (node, -1), "another coordinator", 90)
        before = len(committed(cluster, topic, WIDTH))
        until(lambda: len(committed(cluster, topic, WIDTH)) > before + 300, lambda: "it goes on; log: " + weir.log_text(), 60)
        cluster.do("start", node)
    count = writer.stop()
    await_lines(weir, cluster, topic, count, width=WIDTH)
    weir.stop()


def test_topic_deleted_and_made_again(lab, kafka, topic):
    """What comes after that goes to the new one, once."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    weir = ship(lab, kafka, path, topic)
    kafka.messages(topic, 1000)
    kafka.tool("topics", "--delete", "--topic", topic)
    until(lambda: kafka.read(topic) is None, "the topic is gone")
    kafka.create(topic)
    append(path, lines(1000, 2000, WIDTH))
    assert kafka.numbers(topic, 1000, WIDTH) == list(range(1000, 2000))
    append(path, lines(2000, 3000, WIDTH))
    assert kafka.numbers(topic, 2000, WIDTH) == list(range(1000, 3000))
    weir.stop()


def test_broker_restored_from_an_old_copy(lab, kafka, topic):
    """It knows an older sequence number of this producer than the one that comes: to librdkafka a fatal error. The
    producer is made anew, and what was not delivered yet is sent in order."""
    data = kafka.folder / "node1" / "data" / (topic + "-0")
    path = lab.path("in.log")
    path.write_bytes(lines(0, 1000, WIDTH))
    weir = ship(lab, kafka, path, topic)
    kafka.messages(topic, 1000)
    kafka.do("stop")
    shutil.copytree(data, lab.path("copy"))
    kafka.do("start")
    append(path, lines(1000, 2000, WIDTH))
    kafka.messages(topic, 2000)
    kafka.do("stop")
    shutil.rmtree(data)
    shutil.copytree(lab.path("copy"), data)
    append(path, lines(2000, 30000, WIDTH))
    kafka.do("start")
    until(lambda: kafka.count(topic) >= 29000, lambda: "%d; %s" % (kafka.count(topic), weir.log_text()[-3000:]),
          deadline=90)
    weir.stop()
    print(weir.log_text())
    assert kafka.numbers(topic, width=WIDTH) == [*range(1000), *range(2000, 30000)]
    # Another producer took over.
    assert len({batch.producer for batch in kafka.batches(topic)}) == 2, weir.log_text()
