# SPDX-License-Identifier: Apache-2.0
"""The admin address: status, health, metrics, who may ask, and what a bad client can't do."""
import http.client
import json
import random
import re
import resource
import socket
import threading

import pytest

import harness
from harness import Weir, append, config_text, lines, numbers, run, until, whole_lines
from ports import free_port


class Admin:
    """weir with one followed file and its admin address."""

    def __init__(self, folder, **service):
        self.port = free_port()
        self.file = folder / "a.log"
        self.config = folder / "weir.yaml"
        self.file.touch()
        self.config.write_text(config_text(
            [{"name": "tail", "alias": "in", "path": self.file, "tag": "t", "topic": "top", "read_from_head": True}],
            [{"name": "stdout", "alias": "out", "match": "*", "format": "raw"}],
            {"data_dir": folder / "data", "http_server": True, "http_port": self.port, **service}))
        self.weir = Weir(folder, ["-c", self.config])

    def ask(self, path, method="GET", **headers):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    def ready(self):
        def look():
            try:
                return self.ask("/readyz")[0] == 200
            except OSError:
                assert self.weir.running(), self.weir.log_text()
                return False
        until(look, "ready")
        return self

    def status(self, query=""):
        code, _, body = self.ask("/api/v1/status" + query)
        assert code == 200
        return json.loads(body)


@pytest.fixture
def admin(tmp_path):
    started = []

    def start(**service):
        started.append(Admin(tmp_path, **service))
        return started[-1].ready()
    yield start
    for one in started:
        if one.weir.running():
            one.weir.stop()


def test_status_says_what_was_written(admin):
    a = admin()
    append(a.file, lines(0, 1000, 100) + b"unfinished")
    a.weir.wait_output(lambda data: data.endswith(lines(999, 1000, 100)))
    # Positions are acknowledged a moment after the output has written.
    until(lambda: a.status()["inputs"][0]["files"][0]["committed"] == 100000, "everything is committed")
    whole = a.status()
    source, sink = whole["inputs"][0], whole["outputs"][0]
    assert (whole["generation"], source["alias"], source["name"], source["owner"]) == (1, "in", "tail", None)
    assert (source["tag"], source["topic"], source["state"], source["error"]) == ("t", "top", "running", None)
    assert source["records"] == sink["records"] == 1000
    assert source["bytes"] == sink["bytes"] > 100000 - 1000
    assert source["files"] == [{"path": str(a.file), "state": "open", "size": 100010, "read": 100000,
                                "committed": 100000, "delivered": 100000, "abandoned": 0, "in_flight": 0, "unread": 10,
                                "lag": 0, "lag_seconds": 0}]
    assert (sink["queued_bytes"], sink["retries"], sink["rejected"]) == (0, 0, 0)


def test_files_leave_the_last_descriptors_to_others(admin, tmp_path, monkeypatch):
    """With more files than descriptors, weir still answers; and it has raised the soft limit to the hard one."""
    limited = tmp_path / "limited"
    limited.write_text("#!/bin/sh\nulimit -Sn 100\nulimit -Hn 4096\nexec %s \"$@\"\n" % harness.WEIR)
    limited.chmod(0o755)
    monkeypatch.setattr(harness, "WEIR", limited)
    a = admin()
    assert resource.prlimit(a.weir.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
    resource.prlimit(a.weir.pid, resource.RLIMIT_NOFILE, (200, 4096))
    for number in range(300):
        (tmp_path / ("a%d.log" % number)).write_bytes(lines(number, number + 1))
    a.config.write_text(a.config.read_text().replace("a.log", "a*.log"))
    assert a.ask("/api/v1/reload", "POST")[0] == 200
    a.weir.wait_log("no more files can be opened")
    assert 100 < sum(file["state"] == "open" for file in a.status("?files=1000")["inputs"][0]["files"]) < 150
    resource.prlimit(a.weir.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    a.weir.wait_output(lambda data: len(set(numbers(whole_lines(data)))) == 300)


def test_a_page_of_files(admin):
    a = admin()
    assert len(a.status("?files=0")["inputs"][0]["files"]) == 0
    assert len(a.status("?files=5&offset=1")["inputs"][0]["files"]) == 0
    assert len(a.status("?files=5&offset=0")["inputs"][0]["files"]) == 1
    for query in ("?files=x", "?files=-1", "?offset=", "?offset=99999999999999999999"):
        assert a.ask("/api/v1/status" + query)[0] == 400, query


def test_the_files_that_lag_most_come_first(admin, tmp_path):
    a = admin()
    for number in range(40):
        (tmp_path / ("a%02d.log" % number)).write_bytes(lines(0, 1))
    a.config.write_text(a.config.read_text().replace("a.log", "a*.log"))
    assert a.ask("/api/v1/reload", "POST")[0] == 200
    until(lambda: len(a.status()["inputs"][0]["files"]) == 41, "all files")
    order = list(range(40))
    random.shuffle(order)
    for number in order:
        append(tmp_path / ("a%02d.log" % number), b"x" * (number + 1))  # without an end: it waits

    def worst(query):
        return [f["size"] - f["committed"] for f in a.status(query)["inputs"][0]["files"]]
    for limit in (1, 2, 7, 39, 41, 100):
        wanted = ([*range(40, 0, -1), 0])[:limit]
        until(lambda: worst("?sort=lag&files=%d" % limit) == wanted, lambda: "%d: %s" % (limit, worst("?sort=lag&files=%d" % limit)))
    assert worst("?sort=lag&files=3&offset=5") == [35, 34, 33]
    assert worst("?sort=lag&files=3&offset=41") == worst("?sort=lag&files=0") == []
    assert worst("?sort=lag&files=3&offset=999999999999999999") == []
    assert a.ask("/api/v1/status?sort=name")[0] == 400


def test_metrics_are_prometheus_text(admin):
    a = admin()
    append(a.file, lines(0, 50))
    a.weir.wait_output(lambda data: data.endswith(lines(49, 50)))
    until(lambda: b'weir_output_records_total{output="out"} 50\n' in a.ask("/metrics")[2], "50 records")
    _, headers, body = a.ask("/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    described, typed = set(), set()
    for line in body.decode().splitlines():
        if line.startswith("# HELP "):
            described.add(line.split()[2])
        elif line.startswith("# TYPE "):
            typed.add(line.split()[2])
        else:
            match = re.fullmatch(r'([a-z_]+)(\{([a-z_]+="[^"]*",?)+\})? -?[0-9.e+-]+', line)
            assert match and match[1] in typed & described, line
    assert {"weir_input_records_total", "weir_output_queue_bytes", "process_cpu_seconds_total"} <= typed


def test_health(admin):
    a = admin()
    assert a.ask("/healthz")[::2] == (200, b"ok\n")
    assert json.loads(a.ask("/readyz")[2]) == {"ready": True, "reasons": []}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "[::1", ":80",
                                  "localhost:http", "a" * 300])
def test_a_foreign_host_is_refused(admin, host):
    assert admin().ask("/api/v1/status", Host=host)[0] == 421


def test_hosts_that_are_served(admin):
    a = admin(http_hosts=["logs.example"])
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:2020", "[::1]:2020", "logs.example", "logs.example:80"):
        assert a.ask("/healthz", Host=host)[0] == 200, host


def test_nothing_but_reading(admin):
    a = admin()
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        code, headers, _ = a.ask("/api/v1/status", method)
        assert (code, headers["Allow"]) == (405, "GET, HEAD"), method
    assert a.ask("/nowhere")[0] == 404


def test_a_token_is_asked_for_and_never_shown(tmp_path):
    (tmp_path / "token").write_text("canary-7f3a\n")
    a = Admin(tmp_path, http_token="file://" + str(tmp_path / "token"), log_level="trace")
    until(lambda: "metrics, health and status at" in a.weir.log_text(), "the address in the log")
    for given in (None, "Bearer", "Bearer ", "Bearer canary-7f3", "Bearer canary-7f3aa", "Basic canary-7f3a"):
        headers = {"Authorization": given} if given is not None else {}
        code, answer, body = a.ask("/metrics", **headers)
        assert (code, answer["WWW-Authenticate"]) == (401, "Bearer"), given
        assert b"canary" not in body
    assert a.ask("/metrics", Authorization="Bearer canary-7f3a")[0] == 200
    code, out, _ = run(["status", "-c", a.config], tmp_path)
    assert code == 0 and b"running" in out
    # The file has another token: the configuration is as it was, and a reload reads it.
    (tmp_path / "token").write_text("canary-88\n")
    assert a.ask("/api/v1/reload", "POST")[0] == a.ask("/api/v1/reload", "POST", Authorization="Bearer canary-88")[0] == 401
    assert a.ask("/api/v1/reload", "POST", Authorization="Bearer canary-7f3a")[0] == 200
    assert a.ask("/metrics", Authorization="Bearer canary-7f3a")[0] == 401
    code, out, _ = run(["reload", "-c", a.config], tmp_path)
    assert code == 0 and b"generation 3" in out
    a.weir.stop()
    assert "canary" not in a.weir.log_text()


def test_weir_status(admin, tmp_path):
    a = admin()
    code, out, _ = run(["status", "-c", a.config], tmp_path)
    assert code == 0 and re.search(rb"^in +running +t +top ", out, re.M) and re.search(rb"^out +running ", out, re.M)
    code, out, _ = run(["status", "--json", "-s", "http_port=%d" % a.port], tmp_path)
    assert code == 0 and json.loads(out)["outputs"][0]["alias"] == "out"
    a.weir.stop()
    code, out, err = run(["status", "-c", a.config], tmp_path)
    assert code == 3 and not out and b"can't reach weir" in err and b"refused" in err


def test_a_local_socket(tmp_path):
    path = tmp_path / "s"
    for _ in range(2):  # the second finds the file that a killed weir left behind
        a = Admin(tmp_path, http_listen="unix:%s" % path)
        until(lambda: run(["status", "-c", a.config], tmp_path)[0] == 0, "an answer")
        assert path.stat().st_mode & 0o777 == 0o660
        a.weir.kill()
        assert path.exists()
    a = Admin(tmp_path, http_listen="unix:%s" % path)
    until(lambda: run(["status", "-c", a.config], tmp_path)[0] == 0, "an answer")
    a.weir.stop()
    assert not path.exists()


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["reload"]], ids=" ".join)
@pytest.mark.parametrize("length", ["Content-Length: %d", "content-length:%d"])
def test_an_answer_that_is_cut(tmp_path, command, length):
    """As of a weir that is killed meanwhile: half of it is not shown as if it were all."""
    body = json.dumps({"inputs": [], "outputs": [], "message": "applied"}).encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        head = ("HTTP/1.1 200 OK\r\nX: y\r\n%s\r\n\r\n" % length).encode()

        def serve():
            for size in len(body) + 1, len(body):
                one, _ = listener.accept()
                one.recv(1 << 16)
                one.sendall(head % size + body)
                one.close()
        threading.Thread(target=serve, daemon=True).start()
        ask = [*command, "-s", "http_listen=unix:%s" % (tmp_path / "s")]
        code, out, err = run(ask, tmp_path)
        assert (code, out) == (3, b"") and err == b"error: weir at unix:%s: it ended in the middle of its answer\n" % bytes(tmp_path / "s")
        code, out, err = run(ask, tmp_path)
        assert code == 0 and out and not err


def test_an_address_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        a = Admin(tmp_path, http_port=taken.getsockname()[1])
        a.weir.wait(2)
    assert "can't listen at 127.0.0.1" in a.weir.log_text() and "http_port" in a.weir.log_text()


def test_slow_and_silly_clients_cost_no_line(admin):
    a = admin()
    slow = []
    for number in range(300):
        client = socket.create_connection(("127.0.0.1", a.port), timeout=harness.DEADLINE)
        client.setblocking(False)
        try:
            client.send((b"GET /api/v1/status HTTP/1.1\r\nX: ", b"\x00\xff\x16\x03", b"POST / HTTP/1.1\r\n"
                         b"Content-Length: 99999999999999\r\n\r\n", b"A" * 200000)[number % 4])
        except OSError:
            pass
        slow.append(client)
    append(a.file, lines(0, 20000))
    data = a.weir.wait_output(lambda data: data.endswith(lines(19999, 20000)))
    assert numbers(data) == list(range(20000))
    for client in slow:
        client.close()
    until(lambda: a.ask("/healthz")[0] == 200, "an answer after them")
    assert len(a.weir.descriptors()) < 200


def test_a_status_that_is_asked_for_while_weir_ends(admin):
    a = admin()
    clients = []
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", a.port), timeout=harness.DEADLINE)
        client.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        clients.append(client)
    a.weir.stop()
    for client in clients:
        client.close()
