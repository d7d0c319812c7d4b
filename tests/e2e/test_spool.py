# SPDX-License-Identifier: Apache-2.0
"""`storage: disk`: an input that can't be read again loses nothing that it has acknowledged. Its test plugin (in_lines) takes
lines from a Unix socket and tells its client how many of them are on disk."""
import json
import random
import resource
import socket
import subprocess
import time

import pytest

import harness
from exact import journal, keeper
from harness import lines, numbers, run, until, whole_lines
from ports import free_port


class Client:
    """A connection that sends numbered lines and knows up to which one they are acknowledged."""

    def __init__(self, lab, first=0, width=0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.first = self.next = self.acknowledged = first
        self.width = width
        self.unsent = self.heard = b""
        until(lambda: self._connect(str(lab.path("in.sock"))), "the socket is listened to")
        self.socket.setblocking(False)

    def _connect(self, path):
        try:
            self.socket.connect(path)
            return True
        except OSError:
            return False

    def put(self, count):
        """More lines to send; as much as goes now is sent."""
        self.unsent += lines(self.next, self.next + count, self.width)
        self.next += count
        return self.work()

    def work(self):
        """Sends and hears what can be now. False: the other side is gone."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent):]
        except BlockingIOError:
            pass
        except OSError:
            return False
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return False
                self.heard += data
        except BlockingIOError:
            pass
        except OSError:
            return False
        finally:
            whole, _, self.heard = self.heard.rpartition(b"\n")
            if whole:
                self.acknowledged = self.first + int(whole.split()[-1])
        return True

    def settle(self):
        """Until all is acknowledged."""
        until(lambda: self.work() and self.acknowledged == self.next,
              lambda: "%d of %d lines are acknowledged" % (self.acknowledged, self.next))
        return self.next

    def close(self):
        self.socket.close()


def spooled(lab, outputs=None, service=None, **options):
    """The arguments of a weir with in_lines."""
    outputs = outputs or [{"name": "stdout", "match": "*", "format": "raw", "alias": "sink"}]
    source = {"name": "lines", "alias": "wire", "path": lab.path("in.sock"), "storage": "disk", **options}
    return ["-c", lab.config([source], outputs, service, ["in_lines", "out_keeper", "out_slow"])]


def slow(lab, delay, name="slow"):
    return {"name": "slow", "match": "*", "alias": name, "path": lab.path(name + ".txt"), "delay": delay}


def folder(lab):
    return next((lab.path("data") / "spool").iterdir())


def segments(lab):
    return sorted(folder(lab).glob("*.seg"))


def delivered(lab, name="slow"):
    path = lab.path(name + ".txt")
    return numbers(whole_lines(path.read_bytes())) if path.exists() else []


def test_lines_pass(lab):
    weir = lab.start(spooled(lab))
    client = Client(lab)
    for _ in range(50):
        client.put(20)
        client.settle()
    weir.wait_output(lambda data: len(numbers(whole_lines(data))) == 1000)
    client.close()
    weir.stop()
    assert numbers(weir.output()) == list(range(1000))
    assert not segments(lab)  # an orderly end leaves nothing that all outputs have


def test_kill(lab):
    """Every acknowledged line is delivered, whenever weir is killed."""
    choose = random.Random(4711)
    first = 0
    promised = []
    for turn in range(8):
        weir = lab.start(spooled(lab), name="weir")
        client = Client(lab, first)
        end = time.monotonic() + choose.uniform(0.0, 0.12)
        while time.monotonic() < end:
            client.put(choose.randrange(1, 200))
        if turn == 7:  # a slow disk may have acknowledged none by then
            client.put(1)
            until(lambda: client.work() and client.acknowledged > first, "an acknowledgement")
        weir.kill()
        client.work()
        client.close()
        first = client.next  # of those that were not acknowledged some may come, and some not
        promised.append(range(client.first, client.acknowledged))
    weir = lab.start(spooled(lab), name="weir")
    Client(lab, first).put(1)
    weir.wait_output(lambda data: data.endswith(harness.line(first)))
    weir.stop()
    found = set()
    for text in weir.output().split(b"\n"):  # a kill may cut a line of the output, and the next one follows it
        if len(text) >= 18 and harness.line(int(text[-18:-9])) == text[-18:] + b"\n":
            found.add(int(text[-18:-9]))
    assert any(promised)
    for part in promised:
        assert not set(part) - found


@pytest.mark.one_build
def test_sink_away(lab):
    """The sink takes nothing: what comes goes to disk, memory stays small, and later all comes in order."""
    service = {"memory_limit": "1M"}
    weir = lab.start(spooled(lab, [slow(lab, "1h")], service))
    client = Client(lab, width=200)
    client.put(1000)
    client.settle()
    before = weir.memory()
    for _ in range(20):
        client.put(5000)
        client.settle()
    assert sum(path.stat().st_size for path in segments(lab)) > 20_000_000
    if not harness.SANITIZER:
        assert weir.memory() - before < 8_000_000
    client.close()
    weir.signal(15)
    weir.signal(15)
    weir.wait()
    weir = lab.start(spooled(lab, service=service), name="again")
    weir.wait_log("chunks wait in its spool")
    weir.wait_output(lambda data: data.count(b"\n") == 101000)
    weir.stop()
    assert numbers(weir.output(), 200) == list(range(101000))
    assert not segments(lab)


def test_kill_with_a_keeper_of_positions(lab):
    """What is spooled has no positions that it could keep: every acknowledged line comes, some twice after a kill, and in order."""
    first, promised = 0, []
    outputs = [keeper(lab, abort_every=3)]
    for _ in range(5):
        weir = lab.start(spooled(lab, outputs), name="weir")
        client = Client(lab, first)
        before = len(journal(lab))
        until(lambda: client.put(50) and len(journal(lab)) > before, "commits")
        weir.kill()
        client.work()
        client.close()
        first = client.next
        promised += range(client.first, client.acknowledged)
    weir = lab.start(spooled(lab, outputs), name="weir")
    client = Client(lab, first)
    client.put(1)
    until(lambda: client.work() and first in journal(lab), lambda: "the last line; " + weir.log_text()[-3000:])
    weir.stop()
    found = journal(lab)
    assert set(promised) <= set(found)
    assert sorted(set(found)) == list(dict.fromkeys(found)), "what comes for the first time is out of order"


def test_two_keepers_for_what_waits(lab):
    """Each would wait for the other. The tag is that of before, so the configuration can't be refused for it."""
    weir = lab.start(spooled(lab, [slow(lab, "1h")], tag="before"), name="weir")
    client = Client(lab)
    client.put(10)
    client.settle()
    client.close()
    weir.kill()
    first, second = ({**keeper(lab), "alias": name, "match": "before"} for name in ("first", "second"))
    rest = {"name": "stdout", "match": "now", "alias": "rest"}
    weir = lab.start(spooled(lab, [first, second, rest], tag="now"), name="weir")
    weir.wait_log("2 outputs that keep positions match tag 'before' and topic '', and one can: what waits in the spool stays there")
    weir.stop()
    assert not journal(lab)
    weir = lab.start(spooled(lab, [first, rest], tag="now"), name="weir")
    until(lambda: journal(lab) == list(range(10)), lambda: str(journal(lab)))
    weir.stop()


def test_orderly_restart_delivers_once(lab):
    """One output has taken everything, the other nothing: after a restart only the other gets it."""
    fast = {"name": "stdout", "match": "*", "format": "raw", "alias": "fast"}
    weir = lab.start(spooled(lab, [fast, slow(lab, "1h")], {"grace": "10ms"}))
    client = Client(lab)
    for _ in range(30):
        client.put(10)
        client.settle()
    weir.wait_output(lambda data: data.count(b"\n") == 300)
    client.close()
    weir.stop()
    assert delivered(lab) == []
    weir = lab.start(spooled(lab, [fast, slow(lab, "1ms")]))
    until(lambda: delivered(lab)[-1:] == [299], "the other output has it")
    client = Client(lab, 300)
    client.put(10)
    until(lambda: client.work() and delivered(lab)[-1:] == [309], "what is new")
    client.close()
    weir.stop()
    assert delivered(lab) == list(range(310))
    assert numbers(weir.output()) == list(range(310))


def test_reload_swaps_the_output(lab):
    """Chunks wait in the queue and on disk while their output is replaced: the new one gets all of them."""
    weir = lab.start(spooled(lab, [{**slow(lab, "1h"), "queue_size": "64k"}], {"grace": "10ms"}))
    client = Client(lab)
    for _ in range(40):
        client.put(500)
        client.settle()
    spooled(lab, [{**slow(lab, "0s"), "queue_size": "64k"}], {"grace": "10ms"})
    weir.signal(1)
    until(lambda: delivered(lab)[-1:] == [19999], "all of it is delivered")
    weir.wait_log("generation 2 is in force")
    client.put(1)
    until(lambda: client.work() and delivered(lab)[-1:] == [20000], "what is new")
    client.close()
    weir.stop()
    assert delivered(lab) == list(range(20001))


@pytest.mark.one_build
def test_storage_limit(lab):
    """A full spool holds the input back, and nothing is lost."""
    weir = lab.start(spooled(lab, [slow(lab, "1h")], {"grace": "10ms"}, storage_limit="1M"))
    client = Client(lab, width=200)
    client.put(20000)
    until(lambda: client.work() and "has reached storage_limit" in weir.log_text(), weir.log_text)
    assert client.acknowledged < 20000
    used = sum(path.stat().st_size for path in segments(lab))
    assert 1_000_000 < used < 1_300_000
    spooled(lab, [slow(lab, "0s")], {"grace": "10ms"}, storage_limit="1M")
    weir.signal(1)
    client.settle()
    until(lambda: len(lab.path("slow.txt").read_bytes().splitlines()) == 20000, "all is delivered")
    client.close()
    weir.stop()
    assert numbers(lab.path("slow.txt").read_bytes(), 200) == list(range(20000))


def test_torn_end_is_cut(lab):
    weir = lab.start(spooled(lab, [slow(lab, "1h")]))
    client = Client(lab)
    for _ in range(3):
        client.put(10)
        client.settle()
    weir.kill()
    client.close()
    last = segments(lab)[-1]
    size = last.stat().st_size
    with open(last, "ab") as file:
        file.write(last.read_bytes()[48:130])
    weir = lab.start(spooled(lab), name="again")
    weir.wait_log("%s: the last 82 bytes are the torn end of a write: cut off" % last.name)
    weir.wait_output(lambda data: data.count(b"\n") == 30)
    try:
        assert last.stat().st_size == size
    except FileNotFoundError:
        pass  # all of it is delivered, and it is removed by now
    weir.stop()
    assert numbers(weir.output()) == list(range(30))


def test_damage_is_passed_over(lab):
    weir = lab.start(spooled(lab, [slow(lab, "1h")]))
    client = Client(lab)
    for _ in range(3):
        client.put(10)
        client.settle()
    weir.kill()
    client.close()
    path = segments(lab)[0]
    data = bytearray(path.read_bytes())
    data[data.index(harness.line(10)[:-1])] ^= 1
    path.write_bytes(data)
    port = free_port()
    weir = lab.start(spooled(lab, service={"http_server": True, "http_port": port}), name="again")
    weir.wait_log("are damaged: kept as damaged-")
    weir.wait_output(lambda data: data.count(b"\n") == 20)
    status = json.loads(run(["status", "-c", lab.path("weir.yaml"), "--json"], lab.folder)[1])
    assert status["inputs"][0]["spool"]["damaged"] == 1
    assert get(port, "/metrics").count('weir_spool_damaged_total{input="wire"} 1') == 1
    weir.stop()
    assert numbers(weir.output()) == [*range(10), *range(20, 30)]
    assert len(list(folder(lab).glob("damaged-*"))) == 1


def get(port, path):
    import urllib.request
    with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=harness.DEADLINE) as answer:
        return answer.read().decode()


def test_options(lab):
    def said(inputs, **kwargs):
        config = lab.config([{"name": "lines", "path": "/x", **inputs}], [{"name": "stdout", "match": "*"}], plugins=["in_lines"], **kwargs)
        status, _, text = run(["check", "-c", config], lab.folder)
        return status, text.decode()

    assert said({"storage": "disk"})[0] == 0
    assert said({"storage.type": "filesystem", "storage.total_limit_size": "5M"})[0] == 0
    status, text = said({"storage": "tape"})
    assert status == 1 and "storage" in text and "memory, disk" in text
    status, text = said({"storage": "disk", "storage_limit": "10k"})
    assert status == 1 and "storage_limit" in text
    status, text = said({"storage": "disk"}, service={"data_dir": ""})
    assert status == 1 and "storage: disk needs service.data_dir" in text
    config = lab.config([{"name": "tail", "path": "/x", "storage": "disk"}], [{"name": "stdout", "match": "*"}])
    status, _, text = run(["check", "-c", config], lab.folder)
    assert status == 0 and b"storage: disk has no effect for tail: what it reads can be read again" in text


def test_an_input_that_is_gone(lab):
    weir = lab.start(spooled(lab, [slow(lab, "1h")]))
    client = Client(lab)
    client.put(10)
    client.settle()
    client.close()
    weir.kill()
    config = lab.config([{"name": "tail", "path": lab.path("none")}], [{"name": "stdout", "match": "*", "format": "raw"}])
    weir = lab.start(["-c", config], name="without")
    weir.wait_log("%s holds what an input with storage: disk took in" % folder(lab))
    weir.stop()
    weir = lab.start(spooled(lab), name="back")
    weir.wait_output(lambda data: numbers(whole_lines(data)) == list(range(10)))
    weir.stop()


def test_file_size_limit(lab):
    """A segment that may not grow any more is an error of that file, and the next one goes on; the signal does not end weir."""
    weir = lab.start(spooled(lab, [slow(lab, "1h")]))
    client = Client(lab, width=200)
    client.put(10)
    client.settle()
    hard = resource.prlimit(weir.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(weir.process.pid, resource.RLIMIT_FSIZE, (400_000, hard))
    client.put(2500)
    client.settle()
    assert "File too large" in weir.log_text()
    assert len(segments(lab)) > 1
    client.close()
    weir.kill()
    weir = lab.start(spooled(lab), name="again")
    weir.wait_output(lambda data: data.count(b"\n") == 2510)
    weir.stop()
    assert numbers(weir.output(), 200) == list(range(2510))


@pytest.fixture
def small_disk(lab):
    disk = lab.path("data")
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M,mode=755", "weir-test", str(disk)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("no right to mount a small file system: " + done.stderr.decode().strip())
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_disk_full_and_back(lab, small_disk):
    """The client waits while there is no room, nothing is acknowledged that is not on disk, and it recovers by itself."""
    ballast = small_disk / "ballast"
    weir = lab.start(spooled(lab, [slow(lab, "1h")]))
    client = Client(lab, width=200)
    client.put(10)
    client.settle()
    ballast.write_bytes(b"\0" * 1_500_000)
    client.put(10000)
    until(lambda: client.work() and "No space left on device; the input is held back" in weir.log_text(), weir.log_text)
    assert client.acknowledged < 10010
    ballast.unlink()
    client.put(100)
    client.settle()
    weir.wait_log("can be used again")
    client.close()
    weir.kill()
    weir = lab.start(spooled(lab), name="again")
    weir.wait_output(lambda data: data.count(b"\n") == 10110)
    weir.stop()
    assert numbers(weir.output(), 200) == list(range(10110))


def test_what_is_acknowledged_is_written_once_it_can_be(lab):
    """Also of an input that is idle since."""
    weir = lab.start(spooled(lab))
    client = Client(lab)
    client.put(10)
    client.settle()
    until(lambda: (folder(lab) / "acks").exists(), "what outputs have is written down")
    (folder(lab) / "acks.new").mkdir()
    client.put(10)
    client.settle()
    weir.wait_log("acks: Is a directory; a kill now would deliver again")
    (folder(lab) / "acks.new").rmdir()
    weir.wait_log("acks is written again")
    client.close()
    weir.kill()
    weir = lab.start(spooled(lab), name="again")
    client = Client(lab, first=20)
    client.put(1)
    client.settle()
    weir.wait_output(lambda data: data.count(b"\n") == 1)
    client.close()
    weir.stop()
    assert numbers(weir.output()) == [20]


def test_a_reload_that_leaves_a_spool_behind(lab):
    """With another alias it is another spool: that is said, and the former name finds what waits."""
    outputs = [{**slow(lab, "1h"), "queue_size": "64k"}]
    weir = lab.start(spooled(lab, outputs, {"grace": "10ms"}))
    client = Client(lab)
    for _ in range(40):
        client.put(500)
        client.settle()
    client.close()
    spooled(lab, outputs, {"grace": "10ms"}, alias="other")
    weir.signal(1)
    weir.wait_log("chunks of its spool %s yet: what none was given stays there" % folder(lab))
    weir.wait_log("generation 2 is in force")
    spooled(lab, [{**slow(lab, "0s"), "queue_size": "64k"}], {"grace": "10ms"})
    weir.signal(1)
    until(lambda: delivered(lab)[-1:] == [19999], "all of it is delivered")
    weir.stop()
    assert delivered(lab) == list(range(20000))
    assert weir.log_text().count("what none was given stays there") == 1
