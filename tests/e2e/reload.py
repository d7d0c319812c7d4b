# SPDX-License-Identifier: Apache-2.0
"""A weir with its admin address on a local socket, whose configuration is rewritten and reloaded."""
import http.client
import json
import signal
import socket

import harness
from harness import until


class Asker(http.client.HTTPConnection):
    """HTTP over a local socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=harness.DEADLINE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def tail(path, **options):
    return {"name": "tail", "path": path, "read_from_head": True, "tag": "t", **options}


def stdout(**options):
    return {"name": "stdout", "match": "*", "format": "raw", **options}


class Reloaded:
    def __init__(self, lab, inputs, outputs, service=None, plugins=(), **kwargs):
        self.lab = lab
        self.socket = lab.path("admin")
        self.plugins = plugins
        self.service = {"http_server": True, "http_listen": "unix:%s" % self.socket, "log_level": "info",
                        **(service or {})}
        self.write(inputs, outputs)
        self.weir = lab.start(["-c", lab.path("weir.yaml")], **kwargs)
        until(self.runs, lambda: "it runs; " + self.weir.log_text()[-3000:])

    def write(self, inputs, outputs, **service):
        self.inputs, self.outputs = inputs, outputs
        self.service.update(service)
        return self.lab.config(inputs, outputs, self.service, self.plugins)

    def ask(self, path, method="GET", **headers):
        """(status, body)"""
        connection = Asker(self.socket)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def runs(self):
        assert self.weir.running(), self.weir.log_text()
        try:
            return all(one["state"] == "running" for one in self.status()["inputs"])
        except OSError:
            return False

    def status(self):
        code, body = self.ask("/api/v1/status")
        assert code == 200, body
        return json.loads(body)

    def reload(self, applied=True):
        """What it says."""
        code, body = self.ask("/api/v1/reload", "POST")
        assert code == (200 if applied else 409), (code, body, self.weir.log_text()[-3000:])
        answer = json.loads(body)
        assert answer["applied"] == applied
        return answer["message"]

    def change(self, inputs, outputs, **service):
        self.write(inputs, outputs, **service)
        return self.reload()

    def hang_up(self):
        """SIGHUP, and waits for what comes of it."""
        before = self.status()["generation"]
        self.weir.signal(signal.SIGHUP)
        until(lambda: self.status()["generation"] == before + 1, "the next generation")

    def output_of(self, alias):
        return next(o for o in self.status()["outputs"] if o["alias"] == alias)

    def aliases(self):
        status = self.status()
        return [i["alias"] for i in status["inputs"]], [o["alias"] for o in status["outputs"]]
