# SPDX-License-Identifier: Apache-2.0
"""A weir that gets what it follows from etcd, and what it shows of that."""
import http.client
import json
import re

import harness
from harness import until
from ports import free_port


KEY = "logAgentConf"
# Times that a test would wait for.
QUICK = {"ping_interval": "300ms", "request_timeout": "1s", "connect_timeout": "1s"}


def entry(path, topic="one", **options):
    """One of a key's value."""
    return {"path": str(path), "topic": topic, "read_from_head": True, **options}


class Agent:
    """A weir with an etcd input and one output for each topic; what came is sorted by them."""

    def __init__(self, lab, endpoints, name="weir", topics=(), service=None, preload=None, env=None, **options):
        self.lab = lab
        self.topics = list(topics)
        self.port = free_port()
        if "key" not in options and "prefix" not in options:
            options["key"] = "logAgentConf"
        source = {"name": "etcd", "alias": "source", "endpoints": endpoints, "tag": "src", **options}
        outputs = [{"name": "stdout", "match": "*", "match_topic": topic, "json_date_key": topic or "no_topic"}
                   for topic in self.topics]
        outputs += [] if topics else [{"name": "stdout", "match": "*", "format": "raw"}]
        config = lab.config([source], outputs, {"http_server": True, "http_port": self.port, **(service or {})},
                            name="%s.yaml" % name)
        self.weir = lab.start(["-c", config], name=name, preload=preload, env=env)

    # -- What it shows --

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        def look():
            try:
                code, body = self.ask("/api/v1/status?files=10000")
            except OSError:
                assert self.weir.running(), self.weir.log_text()
                return None
            assert code == 200
            return body
        return json.loads(until(look, "the status"))

    def source(self):
        return until(lambda: self.status().get("etcd"), "the source in the status")[0]

    def inputs(self):
        """{alias without the source's: input} of those that etcd asked for."""
        return {one["alias"][len("source/"):]: one for one in self.status()["inputs"] if one["owner"] == "source"}

    def refused(self):
        """[(key or key[entry], error)]"""
        return [(one["key"] + ("[%d]" % one["entry"] if "entry" in one else ""), one["error"])
                for one in self.source().get("refused", [])]

    def metric(self, name):
        code, body = self.ask("/metrics")
        assert code == 200
        found = re.search(r"^%s\{[^}]*\} (\S+)$" % name, body, re.MULTILINE)
        assert found, "%s in\n%s" % (name, body)
        return float(found.group(1))

    def wait_applied(self, revision, deadline=None):
        """Until that revision, or a later one, is in force. Returns what the source shows."""
        found = {}

        def look():
            found.update(self.source())
            return found.get("applied_revision", 0) >= revision
        until(look, lambda: "revision %d applied; it is %s\n%s" % (revision, found, self.weir.log_text()[-3000:]),
              deadline)
        return found

    def wait_inputs(self, wanted, deadline=None):
        """Until exactly those exist and run."""
        found = {}

        def look():
            found.clear()
            found.update(self.inputs())
            return set(found) == set(map(str, wanted)) and all(one["state"] == "running" for one in found.values())
        until(look, lambda: "inputs %s; there are %s\n%s" % (list(wanted), list(found), self.weir.log_text()[-3000:]),
              deadline)
        return found

    # -- What came --

    def lines(self, topic):
        """The lines that came with that topic, in order. A line that is cut at the end is left out."""
        key = topic or "no_topic"
        found = []
        for text in harness.whole_lines(self.weir.output()).splitlines():
            if b'"%s"' % key.encode() in text:
                record = json.loads(text)
                if key in record:
                    found.append(record["log"].encode() + b"\n")
        return b"".join(found)

    def wait_lines(self, topic, wanted):
        until(lambda: self.lines(topic) == wanted,
              lambda: "%d bytes with topic %s; there are %d, ending in %r\n%s" % (
                  len(wanted), topic, len(self.lines(topic)), self.lines(topic)[-100:], self.weir.log_text()[-3000:]))
