# SPDX-License-Identifier: Apache-2.0
"""Secrets are in nothing that weir says: a canary for each is looked for in all of its outputs."""
import http.client
import itertools
import os
import socket

import pytest

import harness
from harness import Weir, append, config_text, lines, run, until
from ports import free_port

CANARIES = {"kafka": b"canary-Kafka-77", "etcd": b"canary-Etcd-88", "token": b"canary-Token-99", "inline": b"canary-Inline-55",
            "sasl": b"canary-Sasl-44"}


def assert_clean(what, data):
    data = data if isinstance(data, bytes) else data.encode()
    for name, canary in CANARIES.items():
        assert canary not in data and canary[7:] not in data, "%s shows the %s: …%s…" % (
            what, name, data[max(0, data.find(canary[7:]) - 200):][:400])


class Gateway:
    """An etcd that answers everything with an error that holds what it was sent, as a hostile or clumsy one could."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.01)
        self.port = self.listener.getsockname()[1]
        self.got = b""

    def serve(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        client.settimeout(0.2)  # enough for a body that comes behind its head, and for none
        try:
            for _ in range(2):
                self.got += client.recv(65536)
        except OSError:
            pass
        body = b'{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}'
        client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        client.close()


@pytest.fixture
def setup(tmp_path):
    files = {}
    for name, canary in CANARIES.items():
        files[name] = tmp_path / ("secret-" + name)
        files[name].write_bytes(canary + b"\n")
        files[name].chmod(0o600)
    gateway, port = Gateway(), free_port()
    append(tmp_path / "a.log", lines(0, 10))

    def text(**kafka):
        return config_text(
            [{"name": "tail", "alias": "in", "path": tmp_path / "a.log", "tag": "t", "read_from_head": True},
             {"name": "etcd", "alias": "fleet", "endpoints": ["http://127.0.0.1:%d" % gateway.port], "key": "k", "user": "u",
              "password": "file://%s" % files["etcd"], "allow_path": ["/var/log/**"]}],
            [{"name": "stdout", "alias": "screen", "match": "*"},
             {"name": "kafka", "alias": "kafka", "match": "t", "brokers": "127.0.0.1:9", "rdkafka.security.protocol": "sasl_plaintext",
              "rdkafka.sasl.mechanism": "PLAIN", "rdkafka.sasl.username": "u",
              "rdkafka.sasl.password": "file://%s" % files["kafka"], "rdkafka.debug": "all", **kafka}],
            {"data_dir": tmp_path / "data", "http_server": True, "http_port": port, "log_level": "trace", "grace": "200ms",
             "http_token": "file://%s" % files["token"]})
    yield tmp_path, text, gateway, port, files
    gateway.listener.close()


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.DEADLINE)
    connection.request(method, path, headers={"Authorization": "Bearer " + CANARIES["token"].decode()})
    answer = connection.getresponse()
    data = answer.read() + repr(answer.getheaders()).encode()
    connection.close()
    return data


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_running_weir_shows_none(setup, form):
    if harness.SANITIZER == "thread":
        pytest.skip("librdkafka's threads are unknown to the thread sanitizer")
    folder, text, gateway, port, files = setup
    config = folder / "weir.yaml"
    config.write_text(text().replace("service:", "service:\n  log_format: %s" % form, 1))
    weir = Weir(folder, ["-c", config])
    until(lambda: gateway.serve() or CANARIES["etcd"] in gateway.got, "the password at etcd's door")
    until(lambda: weir.log_text().count("rd") and "metrics, health" in weir.log_text(), "it runs")
    until(lambda: b"127.0.0.1:9" in ask(port, "/readyz"), "Kafka's error")
    for path in ("/", "/page.js", "/metrics", "/healthz", "/readyz", "/api/v1/status", "/nowhere", "/?" + "x" * 100):
        assert_clean(path, ask(port, path))
    # Reloads with secrets that change, by file and in the file, and one that fails.
    files["kafka"].write_bytes(CANARIES["sasl"])
    config.write_text(text())
    assert_clean("reload", ask(port, "/api/v1/reload", "POST"))
    config.write_text(text(**{"rdkafka.sasl.password": CANARIES["inline"].decode()}))
    code, out, err = run(["reload", "-c", config], folder)
    assert code == 0, err
    assert_clean("weir reload", out + err)
    config.write_text(text(**{"rdkafka.sasl.password": CANARIES["inline"].decode(), "rdkafka.linger.ms": "never"}))
    code, out, err = run(["reload", "-c", config], folder)
    assert code == 1 and b"linger" in err
    assert_clean("a reload that fails", out + err)
    for args in (["status", "-c", config], ["status", "--json", "-c", config]):
        code, out, err = run(args, folder)
        assert_clean(" ".join(map(str, args)), out + err)
    weir.signal(15)
    until(lambda: gateway.serve() or not weir.running(), "the end")
    assert_clean("the log", weir.log_text())
    assert_clean("standard output", weir.output())
    assert_clean("its folder", b"".join(p.read_bytes() for p in (folder / "data").rglob("*") if p.is_file()))


MISTAKES = [{"rdkafka.sasl.password": ""}, {"rdkafka.sasl.mechanism": "NONE"}, {"rdkafka.sasl.pasword": CANARIES["inline"].decode()},
            {"rdkafka.sasl.password": "file:///nonexistent/x"}, {"rdkafka.ssl.key.password": CANARIES["inline"].decode(), "brokers": ""},
            {"rdkafka.ssl.key.pem": CANARIES["inline"].decode(), "rdkafka.security.protocol": "ssl"},
            {"password": CANARIES["inline"].decode()}, {"rdkafka.sasl.password": [CANARIES["inline"].decode()]}]


# librdkafka 2.0.2 keeps a configuration that makes no producer, or frees it twice: nothing for a leak detector.
@pytest.mark.one_build
@pytest.mark.parametrize("mistake", MISTAKES, ids=range(len(MISTAKES)))
def test_errors_show_none(setup, mistake):
    folder, text, _, _, _ = setup
    config = folder / "weir.yaml"
    config.write_text(text(**mistake))
    code, out, err = run(["check", "-c", config], folder)
    assert code in (0, 1)
    assert_clean("check", out + err)


@pytest.mark.parametrize("args", [
    ["-s", "http_token=" + CANARIES["inline"].decode(), "-i", "nonsense", "-o", "stdout"],
    ["-i", "tail", "-p", "path=x", "-o", "kafka", "-p", "rdkafka.sasl.password=" + CANARIES["inline"].decode()],
    ["-i", "etcd", "-p", "password=" + CANARIES["inline"].decode(), "-p", "key=", "-o", "stdout"],
    ["-i", "etcd", "-p", "password=" + CANARIES["inline"].decode(), "-p", "paswrd=x", "-o", "stdout"]], ids=range(4))
def test_the_command_line_shows_none(tmp_path, args):
    code, out, err = run(["check", *args], tmp_path)
    assert_clean("check", out + err)


def test_secrets_file_that_is_wrong(tmp_path):
    """What is read of a secret's file is no part of a complaint about it."""
    for number, content in enumerate(itertools.chain([CANARIES["inline"] + b"\nsecond line\n", b"\0" + CANARIES["inline"], CANARIES["inline"] * 100000])):
        (tmp_path / "s").write_bytes(content)
        code, out, err = run(["check", "-s", "http_token=file://%s" % (tmp_path / "s"), "-i", "tail", "-p", "path=/x", "-o", "stdout"], tmp_path)
        assert_clean("check %d" % number, out + err)


@pytest.mark.parametrize("where", ["configuration", "file", "variable"])
def test_a_secret_that_everybody_may_read(tmp_path, where):
    """Said by weir check, and in the log at the start; not of what others can't read, nor of a variable."""
    token = tmp_path / "token"
    token.write_text("a-token\n")
    value = {"configuration": "a-token", "file": "file://%s" % token, "variable": "${A_TOKEN}"}[where]
    config = tmp_path / "weir.yaml"
    config.write_text(config_text([{"name": "tail", "path": tmp_path / "a.log"}], [{"name": "stdout", "match": "*"}],
                                  {"data_dir": tmp_path / "data", "http_token": value}))
    read = token if where == "file" else config
    row = 1 + next(i for i, text in enumerate(config.read_text().splitlines()) if "http_token" in text)
    warning = "%s:%d:5: warning: service: option 'http_token' is a secret, and everybody may read '%s': chmod o-r, or keep it in " \
        "a file of its own" % (config, row, read)
    for mode in (0o644, 0o640):
        token.chmod(mode)
        config.chmod(mode)
        status, _, err = run(["check", "-c", config], tmp_path, env={**os.environ, "A_TOKEN": "a-token"})
        assert status == 0
        assert (warning in err.decode().splitlines()) == (mode == 0o644 and where != "variable"), err.decode()
        assert b"a-token" not in err
