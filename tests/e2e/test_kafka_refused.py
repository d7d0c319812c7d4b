# SPDX-License-Identifier: Apache-2.0
"""What a broker never takes is said, counted and kept where that was asked for, and holds up nothing else."""
import re

import pytest

import harness
from harness import append, line, lines, numbers, until
from kafka_broker import PASSWORD, ask, output, ship, ship_all

pytest_plugins = ["kafka_fixtures"]
pytestmark = pytest.mark.kafka

LARGE = b"L" * 2500000


def large_among_others(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 500) + LARGE + b"\n" + lines(500, 1000))
    return path


# The client's own limit refuses it, or the broker's does.
LIMITS = {"by-the-client": {}, "by-the-broker": {"message.max.bytes": "5000000"}}


@pytest.mark.asan_too
@pytest.mark.parametrize("who", LIMITS)
def test_large_line_is_rejected_alone(lab, kafka, topic, who):
    path = large_among_others(lab)
    weir = ship_all(lab, kafka, path, topic, rdkafka=LIMITS[who], dead_letter_file=lab.path("dead"))
    assert sorted(kafka.numbers(topic)) == list(range(1000))
    said = [entry for entry in weir.log_text().splitlines() if topic in entry and "2500" in entry]
    assert len(said) == 1, weir.log_text()
    # A whole record, and only that one.
    dead = lab.path("dead").read_bytes()
    assert dead.count(LARGE) == 1 and len(LARGE) < len(dead) < len(LARGE) + 100
    # It is done with: it does not come again.
    append(path, line(1000))
    ship_all(lab, kafka, path, topic, name="again", rdkafka=LIMITS[who])
    assert sorted(kafka.numbers(topic)) == list(range(1001))


def test_others_do_not_wait_for_the_large_one(lab, kafka, topic):
    path = large_among_others(lab)
    weir = ship(lab, kafka, path, topic)
    kafka.messages(topic, 1000)
    append(path, line(1000))
    assert sorted(kafka.numbers(topic, 1001)) == list(range(1001))
    weir.stop()


@pytest.mark.asan_too
def test_dead_letter_topic(lab, kafka, topic):
    """A topic that takes more than the others do."""
    kafka.create("dead-" + topic, max_message_bytes=4000000)
    path = large_among_others(lab)
    ship_all(lab, kafka, path, topic, rdkafka={"message.max.bytes": "5000000"}, dead_letter_topic="dead-" + topic)
    assert sorted(kafka.numbers(topic)) == list(range(1000))
    assert kafka.values("dead-" + topic) == [LARGE]


def test_letter_that_its_topic_refuses(lab, kafka, topic):
    """It goes to the file; and it is one rejected record, whatever way it took."""
    path, admin = large_among_others(lab), lab.path("admin")
    weir = ship(lab, kafka, path, topic, rdkafka={"message.max.bytes": "5000000"}, dead_letter_topic="dead-" + topic,
                dead_letter_file=lab.path("dead"), service={"http_server": True, "http_listen": "unix:%s" % admin})
    kafka.messages(topic, 1000)
    until(lambda: lab.path("dead").exists() and LARGE in lab.path("dead").read_bytes(), weir.log_text)

    def rejected():
        return re.findall(r'^weir_output_rejected_records_total\{.*output="kafka.0".*\} (\d+)$', ask(admin, "/metrics")[1],
                          re.MULTILINE)
    until(lambda: rejected() == ["1"], lambda: "one rejected record, there are %s" % rejected())
    weir.stop()
    assert not kafka.read("dead-" + topic)
    assert sorted(kafka.numbers(topic)) == list(range(1000))


def two_topics(lab, kafka, good, bad, **settings):
    """One output, two inputs; returns weir once the good topic has got everything."""
    lab.path("good.log").write_bytes(lines(0, 1000))
    lab.path("bad.log").write_bytes(lines(0, 1000))
    inputs = [{"name": "tail", "path": lab.path(name + ".log"), "tag": name, "topic": topic, "read_from_head": True}
              for name, topic in (("bad", bad), ("good", good))]
    weir = lab.start(["-c", lab.config(inputs, [output(kafka, **settings)])])
    assert kafka.numbers(good, 1000) == list(range(1000))
    append(lab.path("good.log"), line(1000))
    assert kafka.numbers(good, 1001) == list(range(1001))
    return weir


def check_rejected(lab, weir, bad, *words):
    """Named with its topic in a few lines, not in one for each record; and all of it is in the dead letter file."""
    until(lambda: numbers_in(lab.path("dead")) == list(range(1000)), lambda: "dead letters: " + weir.log_text()[-3000:])
    said = [entry for entry in weir.log_text().splitlines() if bad in entry]
    assert 1 <= len(said) <= 10, weir.log_text()[:4000]
    text = " ".join(said).lower()
    assert any(word in text for word in words), said
    weir.stop()


def numbers_in(path):
    """The lines within the records of a dead letter file."""
    data = path.read_bytes() if path.exists() else b""
    size = len(line(0)) - 1
    parts = [part for part in data.split(b"\xa3log")[1:] if len(part) > size]  # the last one may be on its way
    return sorted(numbers(b"".join(part[1:1 + size] + b"\n" for part in parts)))


def test_topic_that_can_not_be_made(lab, secure_kafka):
    secure_kafka.create("good-1")
    weir = two_topics(lab, secure_kafka, "good-1", "not-there", dead_letter_file=lab.path("dead"),
                      rdkafka={"topic.metadata.propagation.max.ms": "2000"})
    check_rejected(lab, weir, "not-there", "unknown topic")


def test_topic_that_is_not_allowed(lab, secure_kafka):
    secure_kafka.create("good-2")
    secure_kafka.create("forbidden")
    secure_kafka.tool("acls", "--add", "--allow-principal", "User:somebody-else", "--operation", "All", "--topic",
                      "forbidden")
    rdkafka = {"security.protocol": "sasl_ssl", "ssl.ca.location": secure_kafka.secret("ca.pem"),
               "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "weir", "sasl.password": PASSWORD}
    weir = two_topics(lab, secure_kafka, "good-2", "forbidden", brokers=secure_kafka.sasl, rdkafka=rdkafka,
                      dead_letter_file=lab.path("dead"))
    check_rejected(lab, weir, "forbidden", "authorization")


def test_broker_with_a_wrong_certificate(lab, secure_kafka):
    """It is said what is wrong with whom, nothing is lost, and another output goes on."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 100))
    secure_kafka.create("certified")
    source = {"name": "tail", "path": path, "tag": "t", "topic": "certified", "read_from_head": True}

    def sink(ca):
        return output(secure_kafka, brokers=secure_kafka.tls, rdkafka={
            "security.protocol": "ssl", "ssl.ca.location": secure_kafka.secret(ca),
            "ssl.certificate.location": secure_kafka.secret("client.pem"),
            "ssl.key.location": secure_kafka.secret("client.key")})
    service = {"grace": "200ms"}
    weir = lab.start(["-c", lab.config([source], [sink("other-ca.pem"), {
        "name": "stdout", "match": "*", "format": "raw"}], service)])
    weir.wait_line(99)
    weir.wait_log(secure_kafka.tls)
    weir.wait_log("certificate verify failed")
    weir.stop()
    assert secure_kafka.values("certified") == []
    ship_all(lab, secure_kafka, path, "certified", **{key: value for key, value in sink("ca.pem").items()
                                                      if key not in ("name", "match")})
    assert secure_kafka.numbers("certified") == list(range(100))


@pytest.mark.asan_too
@pytest.mark.parametrize("option,value,words", [
    ("rdkafka.no.such.property", "1", ["no.such.property"]),
    ("rdkafka.compression.codec", "brotli", ["compression.codec", "brotli"]),
    ("rdkafka.ssl.ca.location", "/does/not/exist.pem", ["ssl.ca.location"]),
    ("rdkafka.sasl.mechanism", "NONSENSE", ["NONSENSE"]),
    ("rdkafka.sasl.password", "file:///does/not/exist", ["/does/not/exist"]),
    ("rdkafka.message.max.bytes", "1", ["message.max.bytes"]),
    ("topics", "a/b", ["topics", "a/b"]),
    ("topics", "$${tag", ["topics"]),
    ("acks", "2", ["acks"]),
    ("brokers", None, ["brokers"]),
])
def test_check_names_what_is_wrong(lab, kafka_ready, option, value, words):
    settings = {"name": "kafka", "match": "*", "brokers": "127.0.0.1:1", option: value}
    for layer in ("ssl", "sasl"):  # looked at only where it is used
        if option.startswith("rdkafka.%s." % layer):
            settings["rdkafka.security.protocol"] = layer if layer == "ssl" else "sasl_plaintext"
    config = lab.config([{"name": "tail", "path": "x", "tag": "t"}],
                        [{key: text for key, text in settings.items() if text is not None}])
    status, _, err = harness.run(["check", "-c", config], lab.folder)
    text = err.decode()
    assert status == 1, text
    for word in words:
        assert word in text, text
