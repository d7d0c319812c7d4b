# SPDX-License-Identifier: Apache-2.0
"""A real etcd of one or three members on loopback, its certificates, and a proxy that can cut and delay."""
import base64
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

import harness
from harness import until
from ports import HOST, free_ports


def missing(reason):
    """In CI everything must be there; elsewhere what can't run is skipped."""
    (pytest.fail if harness.IN_CI else pytest.skip)(reason)


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Certificates:
    """A CA, a server's certificate for 127.0.0.1, a client's; and bad ones. Made by openssl, once for each folder."""

    def __init__(self, folder):
        if shutil.which("openssl") is None:
            missing("openssl is not installed")
        self.folder = folder
        folder.mkdir()
        self.ca("ca")
        self.ca("foreign")
        self.leaf("server", "ca", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.leaf("elsewhere", "ca", "subjectAltName=DNS:elsewhere.example")
        self.leaf("expired", "ca", "subjectAltName=IP:127.0.0.1", "-not_before", "20200101000000Z", "-not_after",
                  "20200102000000Z")
        self.leaf("client", "ca", "extendedKeyUsage=clientAuth")

    def run(self, *args):
        done = subprocess.run(["openssl", *map(str, args)], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def path(self, name):
        return self.folder / name

    def ca(self, name):
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                 "/CN=weir test " + name, "-keyout", name + ".key", "-out", name + ".crt")

    def leaf(self, name, ca, extension, *dates):
        self.path(name + ".ext").write_text(extension + "\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-keyout",
                 name + ".key", "-out", name + ".csr")
        if not dates:
            self.run("x509", "-req", "-in", name + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-CAcreateserial",
                     "-days", "2", "-extfile", name + ".ext", "-out", name + ".crt")
            return
        # x509 takes no dates before OpenSSL 3.4; ca does.
        self.path("index").write_text("")
        self.path("ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
            "[p]\ncommonName=supplied\n")
        days = [dates[1], dates[3]]
        self.run("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", ca + ".crt", "-keyfile", ca + ".key", "-in",
                 name + ".csr", "-extfile", name + ".ext", "-startdate", days[0], "-enddate", days[1], "-out",
                 name + ".crt")


class Etcd:
    """Members 0 to nodes - 1, each in a folder of its own."""

    def __init__(self, folder, nodes=1, tls=None, ports=None, advertised=None, options=()):
        """tls: (Certificates, name of the server's). ports: for clients, then for peers. advertised: where members say
        that they are, for proxies."""
        for program in ("etcd", "etcdctl"):
            if shutil.which(program) is None:
                missing("%s is not installed" % program)
        self.folder, self.nodes, self.tls, self.options = folder, nodes, tls, list(options)
        folder.mkdir(exist_ok=True)
        ports = ports or free_ports(2 * nodes)
        self.ports, self.peers = ports[:nodes], ports[nodes:]
        self.advertised = advertised or self.peers
        self.scheme = "https" if tls else "http"
        self.processes = [None] * nodes
        self.token = None
        self.user = None
        for node in range(nodes):
            self.begin(node)
        for node in range(nodes):
            self.wait_up(node)

    def endpoint(self, node=0):
        return "%s://%s:%d" % (self.scheme, HOST, self.ports[node])

    def endpoints(self):
        return [self.endpoint(node) for node in range(self.nodes)]

    # -- Life --

    def args(self, node, cluster="new"):
        peer = "http://%s:%d"
        found = ["etcd", "--name", "m%d" % node, "--data-dir", str(self.folder / ("m%d" % node)),
                 "--listen-client-urls", self.endpoint(node), "--advertise-client-urls", self.endpoint(node),
                 "--listen-peer-urls", peer % (HOST, self.peers[node]),
                 "--initial-advertise-peer-urls", peer % (HOST, self.advertised[node]),
                 "--initial-cluster", ",".join("m%d=%s" % (i, peer % (HOST, self.advertised[i]))
                                               for i in range(self.nodes)),
                 "--initial-cluster-state", cluster, "--logger", "zap", "--log-outputs",
                 str(self.folder / ("m%d.log" % node))]
        if self.tls:
            certificates, name = self.tls
            found += ["--cert-file", str(certificates.path(name + ".crt")), "--key-file",
                      str(certificates.path(name + ".key")), "--client-cert-auth", "--trusted-ca-file",
                      str(certificates.path("ca.crt"))]
        return found + self.options

    def begin(self, node=0):
        # An option wins over a variable of the same name, and some machines have those set.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with open(self.folder / ("m%d.out" % node), "ab") as out:
            self.processes[node] = subprocess.Popen(self.args(node), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                    env=environment)

    def start(self, node=0):
        self.begin(node)
        self.wait_up(node)

    def wait_up(self, node):
        def up():
            assert self.processes[node].poll() is None, (self.folder / ("m%d.out" % node)).read_text()[-2000:]
            try:
                self.ctl("get", "x", node=node, timeout="2s")
                return True
            except AssertionError as failed:
                return "permission denied" in str(failed) or "user name is empty" in str(failed)
        until(up, "etcd at " + self.endpoint(node))

    def kill(self, node=0):
        self.processes[node].kill()
        self.processes[node].wait()

    def pause(self, node=0):
        self.processes[node].send_signal(signal.SIGSTOP)

    def resume(self, node=0):
        self.processes[node].send_signal(signal.SIGCONT)

    def remove(self):
        for process in self.processes:
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- Its own client --

    def ctl(self, *args, node=0, timeout="10s", check=True):
        command = ["etcdctl", "--endpoints", self.endpoint(node), "--command-timeout", timeout, "--dial-timeout", timeout]
        if self.tls:
            folder = self.tls[0]
            command += ["--cacert", folder.path("ca.crt"), "--cert", folder.path("client.crt"), "--key",
                        folder.path("client.key")]
            if self.tls[1] != "server":
                command += ["--insecure-skip-tls-verify"]
        if self.user:
            command += ["--user", self.user]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
        done = subprocess.run([*map(str, command), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False, env={**environment, "ETCDCTL_API": "3"})
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert not check or done.returncode == 0, text
        return text

    def put(self, key, value):
        """The value: text as it is, or something for JSON."""
        if not self.tls and not self.user:
            return self.quick_put(key, value)
        return self.ctl("put", key, "--", value if isinstance(value, str) else json.dumps(value, default=str))

    def delete(self, key):
        """The revision."""
        return self.once(key, {"request_delete_range": {"key": b64(key)}}, lambda kept: not kept)

    def get(self, key):
        """The value, or None."""
        found = json.loads(self.ctl("get", key, "-w", "json")).get("kvs")
        return base64.b64decode(found[0].get("value", "")) if found else None

    # -- The gateway, where many requests must be quick --

    def post(self, path, body, node=0):
        request = urllib.request.Request(self.endpoint(node) + path, json.dumps(body).encode(), method="POST")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return json.loads(answer.read())

    def quick_put(self, key, value, node=0):
        """The revision."""
        text = value if isinstance(value, (str, bytes)) else json.dumps(value, default=str)
        put = {"request_put": {"key": b64(key), "value": b64(text)}}
        return self.once(key, put, lambda kept: kept and kept[0].get("value", "") == b64(text), node)

    def once(self, key, change, is_done, node=0):
        """A change of one key that takes effect once, and the revision that it made. A member that has lost its leader, or that
        stands still for a while, lets a call run out of time; what was asked may be done all the same, at any time later, and
        a plain call would then take back what was done since."""
        get = {"request_range": {"key": b64(key)}}

        def try_post(path, body):
            try:
                return self.post(path, body, node)
            except OSError:  # refused, out of time, or an error that etcd tells
                assert self.processes[node].poll() is None, "member %d has ended" % node
                return None
        found = until(lambda: try_post("/v3/kv/range", get["request_range"]), "an answer of member %d" % node)
        before = found["kvs"][0]["mod_revision"] if found.get("kvs") else "0"
        same = {"key": b64(key), "target": "MOD", "result": "EQUAL", "mod_revision": before}
        body = {"compare": [same], "success": [change], "failure": [get]}
        answer = until(lambda: try_post("/v3/kv/txn", body), "a change through member %d" % node)
        if answer.get("succeeded"):
            return int(answer["header"]["revision"])
        kept = answer["responses"][0]["response_range"].get("kvs", [])  # an earlier call of these was done
        assert is_done(kept), "somebody else has changed %s" % key
        return int(kept[0]["mod_revision"] if kept else answer["header"]["revision"])

    def compact(self, node=0):
        """All history before now."""
        revision = self.revision(node)
        self.post("/v3/kv/compaction", {"revision": str(revision), "physical": True}, node)
        return revision

    def revision(self, node=0):
        return int(self.post("/v3/kv/range", {"key": b64("x")}, node)["header"]["revision"])

    def leader(self):
        """The member that leads, as the others (those that run) see it."""
        return until(lambda: [node] if (node := self._leader()) is not None else None, "a leader")[0]

    def _leader(self):
        for node, process in enumerate(self.processes):
            if process.poll() is not None:
                continue
            try:
                status = self.post("/v3/maintenance/status", {}, node)
            except (OSError, urllib.error.URLError):
                continue
            leader = status.get("leader")
            for other in range(self.nodes):
                try:
                    if self.post("/v3/maintenance/status", {}, other)["header"]["member_id"] == leader:
                        return other
                except (OSError, urllib.error.URLError):
                    continue
        return None

    # -- Users --

    def enable_auth(self, role_key, user="weir", password="weir-secret"):
        """root, and a user whose role may read one key. etcdctl is root from here on."""
        for command in (["user", "add", "root:root-secret"], ["role", "add", "root"],
                        ["user", "grant-role", "root", "root"], ["role", "add", "reader"],
                        ["role", "grant-permission", "reader", "read", role_key],
                        ["user", "add", "%s:%s" % (user, password)], ["user", "grant-role", user, "reader"],
                        ["auth", "enable"]):
            self.ctl(*command)
        self.user = "root:root-secret"


class Proxy(threading.Thread):
    """TCP to a port, which can be cut: connections are closed (or freeze), and new ones are refused."""

    def __init__(self, target, port=None, host=HOST):
        super().__init__(daemon=True)
        self.target = target
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port or 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.open = True
        self.frozen = False
        self.pairs = {}
        self.ended = False
        self.made = 0  # connections so far
        self.start()

    def cut(self):
        with self.lock:
            self.open = False
            for one in list(self.pairs):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def mend(self):
        with self.lock:
            self.open = True
            self.frozen = False

    def freeze(self):
        """Connections stay, and nothing passes."""
        with self.lock:
            self.frozen = True

    def end(self):
        self.ended = True
        self.cut()
        self.join()
        self.listener.close()

    def _accept(self, selector):
        near, _ = self.listener.accept()
        if not self.open:
            near.close()
            return
        far = socket.socket()
        try:
            far.connect((HOST, self.target))
        except OSError:
            near.close()
            return
        self.made += 1
        for one, other in ((near, far), (far, near)):
            self.pairs[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _close(self, selector, one):
        for side in (one, self.pairs.get(one)):
            if side in self.pairs:
                selector.unregister(side)
                side.close()
                del self.pairs[side]

    def _pass(self, selector, one):
        try:
            data = one.recv(1 << 16)
            if data:
                self.pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._close(selector, one)

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ)
        while not self.ended:
            if self.frozen:
                time.sleep(0.01)
                continue
            for key, _ in selector.select(0.05):
                with self.lock:
                    if key.fileobj is self.listener:
                        self._accept(selector)
                    elif key.fileobj in self.pairs:
                        self._pass(selector, key.fileobj)
        with self.lock:
            for one in list(self.pairs):
                self._close(selector, one)
        selector.close()
