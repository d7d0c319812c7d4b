# SPDX-License-Identifier: Apache-2.0
"""Fixtures around a real Kafka. Test modules name this file in pytest_plugins, so brokers are shared among them."""
import re
import shutil

import pytest

import harness
import kafka_broker
from kafka_broker import Kafka


@pytest.fixture(scope="session")
def kafka_ready():
    """The plugin is built, and the reader installed."""
    if not (harness.BUILD / "plugins" / "out_kafka.so").exists():
        kafka_broker.missing("%s has no plugins/out_kafka.so: librdkafka-dev was missing when it was built" %
                             harness.BUILD)
    if shutil.which("kcat") is None:
        kafka_broker.missing("kcat is not installed")


def running(tmp_path_factory, name, **options):
    kafka = Kafka(tmp_path_factory.mktemp("kafka-" + name) / "kafka", **options)
    yield kafka
    kafka.do("remove")


@pytest.fixture(scope="session")
def shared_kafka(kafka_ready, tmp_path_factory):
    # What a transaction that has timed out waits for besides: ten seconds by default.
    yield from running(tmp_path_factory, "shared",
                       settings=["transaction.abort.timed.out.transaction.cleanup.interval.ms=500"])


@pytest.fixture
def kafka(shared_kafka):
    """One broker, 3.9. A test may do to it what it likes: it runs again for the next one."""
    yield shared_kafka
    shared_kafka.do("resume")
    shared_kafka.do("start")


@pytest.fixture(scope="session")
def secure_kafka(kafka_ready, tmp_path_factory):
    """TLS, SASL, ACLs; no topic is made by itself. The plain listener is the administrator's."""
    yield from running(tmp_path_factory, "secure", secure=True, settings=["auto.create.topics.enable=false"])


@pytest.fixture(scope="module")
def shared_cluster(kafka_ready, tmp_path_factory):
    yield from running(tmp_path_factory, "cluster", nodes=3)


@pytest.fixture
def cluster(shared_cluster):
    """Three brokers, min.insync.replicas=2. As with `kafka`, all of them run again for the next test."""
    yield shared_cluster
    shared_cluster.do("resume")
    shared_cluster.do("start")


@pytest.fixture(params=["2.5", "4"])
def other_kafka(kafka_ready, tmp_path_factory, request):
    yield from running(tmp_path_factory, request.param, version=request.param)


@pytest.fixture
def topic(request):
    """A name that no other test has."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", request.node.name)


@pytest.fixture
def exact(topic):
    """Settings of an output with exactly_once."""
    return {"delivery": "exactly_once", "positions_topic": topic + ".positions"}
