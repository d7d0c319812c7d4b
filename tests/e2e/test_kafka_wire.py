# SPDX-License-Identifier: Apache-2.0
"""What a message looks like on the broker: compression, format, key, headers, partition; and Fluent Bit's YAML."""
import json
import os
import time

import pytest

import harness
from harness import append, line, lines, until
from kafka_broker import CODECS, ship, ship_all

pytest_plugins = ["kafka_fixtures"]
pytestmark = pytest.mark.kafka

DATA = harness.ROOT / "tests" / "e2e" / "data"


def test_every_codec_is_on_the_wire(lab, kafka, topic):
    """The broker keeps a batch as it came: its own tool says how it is compressed."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 20000, 200))
    segments = {}
    for codec in CODECS:
        name = "%s-%s" % (topic, codec)
        ship_all(lab, kafka, path, name, name=codec, service={"data_dir": lab.path("data-" + codec)},
                 rdkafka={"compression.codec": codec})
        assert kafka.numbers(name, width=200) == list(range(20000))
        assert {batch.codec for batch in kafka.batches(name)} == {codec}
        segments[codec] = kafka.folder / "node1" / "data" / (name + "-0") / "00000000000000000000.log"
    printed = kafka.tool("dump", "--files", ",".join(map(str, segments.values())))
    for codec, segment in segments.items():
        part = printed.split("Dumping %s\n" % segment)[1].split("Dumping ")[0]
        found = [entry for entry in part.splitlines() if "compresscodec" in entry]
        assert found and all("compresscodec: %s" % codec in entry for entry in found), part[:2000]


def test_json(lab, kafka, topic):
    """The default: an object with the time; bytes that are no UTF-8 become U+FFFD."""
    path = lab.path("in.log")
    path.write_bytes(b'quote " backslash \\ tab \t\n' + b"bad \xff byte\n")
    before = time.time()
    ship_all(lab, kafka, path, topic, format="json")
    found = [json.loads(value) for value in kafka.values(topic)]
    assert [record["log"] for record in found] == ['quote " backslash \\ tab \t', "bad � byte"]
    assert all(before - 1 <= record["@timestamp"] <= time.time() + 1 for record in found)


def test_raw_is_byte_for_byte(lab, kafka, topic):
    path = lab.path("in.log")
    wanted = [b"", b"a\0b", b"\xff\xfe", bytes(range(11, 256)), b"cr\r", "ünï".encode()]
    path.write_bytes(b"".join(value + b"\n" for value in wanted))
    ship_all(lab, kafka, path, topic)
    assert kafka.values(topic) == wanted


def test_msgpack(lab, kafka, topic):
    path = lab.path("in.log")
    path.write_bytes(b"one\ntwo\n")
    ship_all(lab, kafka, path, topic, format="msgpack")
    found = kafka.values(topic)
    # [EventTime, {"log": "one"}]
    assert [value[:4] for value in found] == [b"\x92\xd7\x00" + value[3:4] for value in found]
    assert [value[-9:] for value in found] == [b"\x81\xa3log\xa3one", b"\x81\xa3log\xa3two"]
    assert all(len(value) == 20 for value in found)


def test_key_and_headers(lab, kafka, topic):
    """Path and offset travel with the message; messages of one key are in one partition, in order."""
    kafka.create(topic, partitions=4)
    names = ["file-%s.log" % (letter * (index + 1)) for index, letter in enumerate("abcdefghijklmnop")]  # not all of one hash
    for name in names:
        lab.path(name).write_bytes(lines(0, 200))
    ship_all(lab, kafka, lab.path("*.log"), topic, tail={"path_key": "path", "offset_key": "offset", "tag": "my.tag"},
             message_key_field="path", headers={"file": "$${path}", "at": "$${offset}", "tag": "${tag}", "fixed": "x"})
    found = kafka.messages(topic)
    assert len(found) == len(names) * 200
    partitions = {}
    for message in found:
        partitions.setdefault(message.key.decode(), []).append(message)
    assert sorted(partitions) == sorted(str(lab.path(name)) for name in names)
    size = len(line(0))
    for key, messages in partitions.items():
        assert len({message.partition for message in messages}) == 1
        assert [message.value + b"\n" for message in messages] == [line(number) for number in range(200)]
        for number, message in enumerate(messages):
            headers = dict(part.split("=", 1) for part in message.headers.split(","))
            assert headers == {"file": key, "at": str(number * size), "tag": "my.tag", "fixed": "x"}
    assert len({message.partition for message in found}) > 1


def test_fixed_key(lab, kafka, topic):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10))
    ship_all(lab, kafka, path, topic, message_key="the key")
    assert [message.key for message in kafka.messages(topic)] == [b"the key"] * 10


def test_messages_without_a_key_use_every_partition(lab, kafka, topic):
    kafka.create(topic, partitions=4)
    path = lab.path("in.log")
    path.write_bytes(b"")
    weir = ship(lab, kafka, path, topic)
    # The partition sticks for some milliseconds, so it is fed until all were used.
    sent = [0]

    def all_used():
        for _ in range(10):
            append(path, lines(sent[0], sent[0] + 10))
            sent[0] += 10
            time.sleep(0.02)  # so that each has a choice of its own
        return len({message.partition for message in kafka.read(topic) or []}) == 4
    until(all_used, "all partitions are used")
    weir.stop()
    found = kafka.messages(topic)
    assert sorted(harness.numbers(b"".join(message.value + b"\n" for message in found))) == list(range(sent[0]))


def test_fluent_bit_yaml(lab, kafka):
    """A file as Fluent Bit's manual writes them, unchanged."""
    # It says nothing of data_dir, and the default is the system's.
    text = (DATA / "fluent-bit-tail-kafka.yaml").read_text(encoding="utf-8")
    config = lab.path("fluent-bit.yaml")
    config.write_text(text.replace("service:\n", "service:\n  data_dir: %s\n" % lab.path("data"), 1), encoding="utf-8")
    lab.path("logs").mkdir()
    texts = ["a line that says the same as all the others, %d" % i for i in range(500)]
    (lab.path("logs") / "a.log").write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    env = dict(os.environ, LOGS=str(lab.path("logs")), BROKERS=kafka.address)
    status, _, err = harness.run(["-c", config], lab.folder, env=env)
    assert status == 0, err
    found = kafka.messages("fluent-bit")
    records = [json.loads(message.value) for message in found]
    assert [record["message"] for record in records] == texts
    assert all("T" in record["time"] for record in records)
    assert [message.key for message in found] == [b"app"] * len(texts)
    # A batch of a few is sent as it is, where compression does not pay; when batches are cut is librdkafka's affair.
    assert {batch.codec for batch in kafka.batches("fluent-bit") if batch.count > 20} == {"gzip"}
