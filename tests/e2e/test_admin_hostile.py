# SPDX-License-Identifier: Apache-2.0
"""Hostile clients at the admin address: none of them costs a line, a delay that matters, or memory that stays."""
import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness import ROOT, SANITIZER, Writer, append, line, lines, numbers, scaled, until
from test_admin import Admin


@pytest.fixture
def admin(tmp_path):
    a = Admin(tmp_path).ready()
    yield a
    if a.weir.running():
        a.weir.stop()


def resident(pid):
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def delay(a, number):
    """Seconds from a line's writing to its delivery."""
    begin = time.monotonic()
    append(a.file, line(number))
    a.weir.wait_line(number)
    return time.monotonic() - begin


def median_delays(beset, alone, first, count=15):
    """Of both in turn, so that whatever else the machine does concerns both."""
    found = [(delay(beset, first + i), delay(alone, i)) for i in range(count)]
    return [sorted(column)[count // 2] for column in zip(*found)]


def connect(a):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", a.port))
    return client


def let_in(a):
    """How many connections weir has accepted and not closed; the kernel's queue has others."""
    mine = {what[len("socket:["):-1] for what in a.weir.descriptors().values() if what.startswith("socket:[")}
    with open("/proc/net/tcp", encoding="ascii") as file:
        entries = [entry.split() for entry in file.readlines()[1:]]
    listens = "0A"
    return sum(entry[1].endswith(":%04X" % a.port) and entry[3] != listens and entry[9] in mine for entry in entries)


def drip(client, data):
    try:
        client.send(data)
    except OSError:
        pass


@pytest.fixture
def alone(tmp_path):
    """Another weir, whose address nobody asks."""
    (tmp_path / "alone").mkdir()
    a = Admin(tmp_path / "alone").ready()
    yield a
    if a.weir.running():
        a.weir.stop()


@pytest.mark.one_build
def test_a_thousand_slow_clients(admin, alone):
    a = admin
    memory = resident(a.weir.pid)
    clients = [connect(a) for _ in range(1000)]
    for number, client in enumerate(clients):
        drip(client, (b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX: ", b"G", b"", b"GET /metrics HTTP/1.1\r\n")[number % 4])
    writer = Writer(a.file, 20000)
    for _ in range(5):
        for client in clients:
            drip(client, b"x")
    end = until(lambda: writer.written > 20000 and writer.stop(), "20,000 lines written")
    data = a.weir.wait_output(lambda data: data.endswith(line(end - 1)))
    assert numbers(data) == list(range(end))
    slow, quiet = median_delays(a, alone, end)
    assert slow < quiet + 0.05, (quiet, slow)
    for client in clients:
        client.close()
    until(lambda: a.ask("/healthz")[0] == 200, "an answer after them")
    until(lambda: len(a.weir.descriptors()) < 40, "their descriptors back")
    until(lambda: resident(a.weir.pid) < memory + (4 << 20), lambda: "memory back: %d, was %d" % (resident(a.weir.pid), memory))


def test_all_that_are_let_in_leave_at_once(admin):
    """Those who wait behind them have their turn, though nothing else happens that would wake weir up."""
    a = admin
    clients = []

    def is_full():
        for client in clients[:-200]:  # those have long been sent away
            client.close()
        clients.extend(connect(a) for _ in range(32))  # faster than those are sent away who say nothing
        return let_in(a) == 128
    until(is_full, "all that are let in")
    a.weir.freeze()
    for client in clients:
        client.close()
    a.weir.thaw()
    assert a.ask("/healthz")[0] == 200


@pytest.mark.one_build
def test_a_head_in_drops(admin):
    """A byte now and then does not keep a connection: an honest client gets its turn among them."""
    a = admin
    clients = [connect(a) for _ in range(200)]
    dripping = threading.Event()

    def drips():
        while not dripping.wait(0.2):
            for client in clients:
                drip(client, b"X")
    thread = threading.Thread(target=drips, daemon=True)
    thread.start()
    until(lambda: let_in(a) > 96, "as many as make it impatient")

    def seconds():
        begin = time.monotonic()
        assert a.ask("/healthz")[0] == 200
        return time.monotonic() - begin
    # The machine itself may stand still once.
    assert any(seconds() < 8 * (4 if SANITIZER else 1) for _ in range(3))
    dripping.set()
    thread.join()
    for client in clients:
        client.close()


def test_ten_megabytes_of_headers(admin):
    a = admin
    memory = resident(a.weir.pid)
    for data in (b"X: " + b"y" * (10 << 20), b"".join(b"X%d: y\r\n" % n for n in range(700000))):
        with socket.create_connection(("127.0.0.1", a.port), timeout=20) as client:
            try:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + data + b"\r\n\r\n")
            except OSError:
                pass  # it is cut off long before
            try:
                answer = client.recv(4096)
            except OSError:
                answer = b""
            assert not answer or b" 431 " in answer or b" 4" in answer[:16], answer[:80]
    append(a.file, lines(0, 1000))
    data = a.weir.wait_output(lambda data: data.endswith(lines(999, 1000)))
    assert numbers(data) == list(range(1000))
    if not SANITIZER:
        assert resident(a.weir.pid) < memory + (4 << 20)


def test_a_body_is_read_to_nowhere(admin):
    """What is sent behind a request is not kept."""
    a = admin
    memory = resident(a.weir.pid)
    connection = http.client.HTTPConnection("127.0.0.1", a.port, timeout=20)
    connection.request("POST", "/api/v1/reload", body=b"z" * (20 << 20))
    assert connection.getresponse().status == 200
    connection.close()
    if not SANITIZER:
        assert resident(a.weir.pid) < memory + (4 << 20)


def test_fuzzed(admin):
    """The short form of tests/fuzz/admin_fuzz: other bytes every time, WEIR_SEED to see the same ones again."""
    a = admin
    seed = os.environ.get("WEIR_SEED", str(random.randrange(1 << 31)))
    append(a.file, lines(0, 100))
    done = subprocess.run([sys.executable, ROOT / "tests" / "fuzz" / "admin_fuzz", "--port", str(a.port), "--seconds",
                           str(scaled(3)), "--seed", seed], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert a.weir.running(), "seed %s: %s" % (seed, a.weir.log_text())
    append(a.file, lines(100, 200))
    data = a.weir.wait_output(lambda data: data.endswith(line(199)))
    assert numbers(data) == list(range(200)), "seed %s" % seed
    assert a.ask("/healthz")[0] == 200
