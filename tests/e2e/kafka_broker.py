# SPDX-License-Identifier: Apache-2.0
"""A real Kafka (scripts/kafka), what it holds as an independent reader sees it, and weir sending to it."""
import os
import re
import socket
import struct
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import pytest

import harness
from harness import until
from ports import free_ports

SCRIPT = harness.ROOT / "scripts" / "kafka"
PASSWORD = "weir-secret"  # of the user weir, as scripts/kafka makes it
MEBIBYTE = 1 << 20
# The long forms of the faults (a broker that stands still for a minute) are for whoever asks for more than 1.
FULL = harness.SCALE > 1

Message = namedtuple("Message", "partition offset key value headers")
Batch = namedtuple("Batch", "count codec producer sequence")
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def missing(reason):
    """In CI everything must be there; elsewhere what can't run is skipped."""
    (pytest.fail if harness.IN_CI else pytest.skip)(reason)


def free_port(nodes):
    """The first of ports that scripts/kafka will want: four of ten for each node."""
    return free_ports(10 * nodes)[0]


class Kafka:
    """One Kafka of one or several nodes, in a folder of its own. Its port is known before it is first started."""

    def __init__(self, folder, version="3.9", nodes=1, secure=False, settings=()):
        self.folder, self.nodes = folder, nodes
        self.port = free_port(nodes)
        self.address = ",".join("127.0.0.1:%d" % (self.port + 10 * node) for node in range(nodes))
        self.tls, self.sasl = "127.0.0.1:%d" % (self.port + 2), "127.0.0.1:%d" % (self.port + 3)
        options = [] if harness.IN_CI else ["--no-install"]
        got = self._script("get", "--version", version, *options, check=False)
        if got.returncode:
            missing("no Kafka %s: %s" % (version, got.stdout))
        options += ["--version", version, "--port", self.port, "--nodes", nodes]
        options += ["--secure"] if secure else []
        for setting in settings:
            options += ["--set", setting]
        self._script("start", "--dir", folder, *options)

    def _script(self, *args, check=True):
        # Into a file: the brokers that it starts must not keep a pipe of ours open.
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.folder.parent / (self.folder.name + ".script"), "w+", encoding="utf-8") as out:
            done = subprocess.run([str(SCRIPT), *map(str, args)], stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=subprocess.STDOUT, timeout=600, check=False)
            out.seek(0)
            done.stdout = out.read()
        assert not check or done.returncode == 0, done.stdout
        return done

    def do(self, command, node=None):
        """start, stop, kill, pause, resume, remove."""
        self._script(command, "--dir", self.folder, *(["--node", node] if node else []))

    def tool(self, *args):
        return self._script("tool", "--dir", self.folder, *args).stdout

    def secret(self, name):
        return str(self.folder / "secure" / name)

    def create(self, topic, partitions=1, **settings):
        config = [part for key, value in settings.items() for part in ("--config", "%s=%s" % (
            key.replace("_", "."), value))]
        self.tool("topics", "--create", "--topic", topic, "--partitions", partitions, *config)

    def create_and_wait(self, topic):
        """Also until its leader knows of it: that is after the answer, and what is sent without acknowledgements before it is lost."""
        self.create(topic)
        until(lambda: self.read(topic) == [], "the new topic %s can be read" % topic)

    # -- What it holds --

    def read(self, topic):
        """All messages of a topic, in the order of its partitions. None if it can't be read (now)."""
        done = subprocess.run(
            ["kcat", "-C", "-q", "-b", self.address, "-t", topic, "-o", "beginning", "-e",
             "-X", "fetch.message.max.bytes=10000000", "-f", "%p %o %K %S %h\n%k%s"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        if done.returncode:
            return None
        return sorted(parse_messages(done.stdout), key=lambda message: message[:2])

    def messages(self, topic, least=0, deadline=None):
        """The same, waiting until there are at least so many of them."""
        found = []

        def look():
            found[:] = [self.read(topic)]
            return found[0] is not None and len(found[0]) >= least
        until(look, lambda: "%d messages in %s, which has %s" % (
            least, topic, found[0] if found[0] is None else len(found[0])), deadline)
        return found[0]

    def values(self, topic, least=0):
        return [message.value for message in self.messages(topic, least)]

    def numbers(self, topic, least=0, width=0):
        """The numbers of the lines in the topic, in order; fails at a damaged one."""
        return harness.numbers(b"".join(value + b"\n" for value in self.values(topic, least)), width)

    def count(self, topic):
        """How many messages are in partition 0 (its high watermark); 0 if it does not answer."""
        done = subprocess.run(["kcat", "-Q", "-b", self.address, "-t", topic + ":0:-1", "-X", "socket.timeout.ms=2000"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        found = re.search(rb"offset (\d+)", done.stdout)
        return int(found[1]) if found else 0

    def sure_count(self, topic):
        """The same where there is something: waits for an answer."""
        return until(lambda: self.count(topic), "an answer of the broker about " + topic)

    def leader(self, topic):
        """The node that leads partition 0; -1 if none does, or if the broker that was asked does not answer."""
        done = subprocess.run(["kcat", "-L", "-b", self.address, "-t", topic], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        found = re.search(r"partition 0, leader (-?\d+)", done.stdout)
        return int(found[1]) if found else -1

    def batches(self, topic):
        """The batches of partition 0 as the broker keeps them: as they came over the wire."""
        found = []
        for segment in sorted((self.folder / "node1" / "data" / (topic + "-0")).glob("*.log")):
            data, at = segment.read_bytes(), 0
            while at + 61 <= len(data):
                length, = struct.unpack_from(">i", data, at + 8)
                if length <= 0:
                    break
                attributes, = struct.unpack_from(">h", data, at + 21)
                producer, _, sequence, count = struct.unpack_from(">qhii", data, at + 43)
                found.append(Batch(count, CODECS[attributes & 7], producer, sequence))
                at += 12 + length
        return found


def parse_messages(data):
    found, at = [], 0
    while at < len(data):
        end = data.index(b"\n", at)
        partition, offset, key_size, size, headers = data[at:end].split(b" ", 4)
        key_size, size, at = int(key_size), int(size), end + 1
        key = data[at:at + key_size] if key_size >= 0 else None
        at += max(key_size, 0)
        found.append(Message(int(partition), int(offset), key, data[at:at + max(size, 0)], headers.decode()))
        at += max(size, 0)
    return found


# -- weir sending to it --

def output(kafka, **settings):
    """An output's settings; rdkafka={…} becomes rdkafka.NAME, headers={…} headers.NAME."""
    found = {"name": "kafka", "match": "*", "brokers": kafka.address, "format": "raw"}
    for key, value in settings.items():
        if key in ("rdkafka", "headers"):
            found.update(("%s.%s" % (key, name), text) for name, text in value.items())
        else:
            found[key] = value
    return found


def ship(lab, kafka, path, topic, name="weir", service=None, tail=None, **settings):
    """Starts weir: tail of path from its head, to one topic of Kafka as raw."""
    source = {"name": "tail", "path": path, "tag": "t", "topic": topic, "read_from_head": True, **(tail or {})}
    config = lab.config([source], [output(kafka, **settings)], service, name="%s.yaml" % name)
    return lab.start(["-c", config], name=name)


def ship_all(lab, kafka, path, topic, name="weir", deadline=None, **more):
    """The same, until every line that is there was acknowledged."""
    more["tail"] = {"exit_on_eof": True, **more.get("tail", {})}
    weir = ship(lab, kafka, path, topic, name=name, **more)
    weir.wait(0, deadline or 120)
    return weir


def ask(path, target):
    """GET at weir's admin address, a socket: status and text of the answer."""
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(harness.DEADLINE)
        asker.connect(str(path))
        asker.sendall(b"GET %s HTTP/1.0\r\n\r\n" % target.encode())
        head, _, body = b"".join(iter(lambda: asker.recv(65536), b"")).decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def peak_memory(weir):
    """The most resident bytes that it ever had."""
    for entry in Path("/proc/%d/status" % weir.pid).read_text(encoding="utf-8").splitlines():
        if entry.startswith("VmHWM:"):
            return int(entry.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def cpu_seconds(weir):
    fields = Path("/proc/%d/stat" % weir.pid).read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hold(weir, seconds):
    """Lets a fault last, while weir must go on running."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert weir.running(), "weir has ended: " + weir.log_text()[-4000:]
        time.sleep(0.1)


def runs_of(numbers):
    """Splits what a topic has got into runs of consecutive numbers: [(first, last)]."""
    found = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
