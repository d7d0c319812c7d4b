# SPDX-License-Identifier: Apache-2.0
"""service.sandbox: what the configuration does not name is out of reach, whatever a plugin tries; what it names works as ever."""
import ctypes
import json
import os
import shutil
import signal

import pytest

import harness
from etcd_agent import QUICK, Agent, entry
from harness import append, lines, numbers, run, until
from kafka_broker import ship, ship_all
from reload import Reloaded, stdout, tail
from test_kafka_security import tls
from test_spool import Client

pytest_plugins = ["outside", "etcd_fixtures", "kafka_fixtures"]

LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)
pytestmark = pytest.mark.skipif(LANDLOCK < 1, reason="this kernel has no landlock")

ON = {"sandbox": True}
DENIED = ("Permission denied", "Operation not permitted")


@pytest.fixture
def logs(outside):
    folder = outside.beside("logs")
    append(folder / "a.log", lines(0, 1000))
    return folder


def inputs(logs, **options):
    return [tail(logs / "*.log", refresh_interval="100ms", **options)]


def start(lab, logs, outputs=(), service=None, plugins=(), name="weir", **kwargs):
    config = lab.config(inputs(logs), [stdout(), *outputs], {**ON, "checkpoint_interval": "10ms", **(service or {})}, plugins,
                        name=name + ".yaml")
    return lab.start(["-c", config], name=name, **kwargs)


# -- What is held back --

def attempts(lab, logs, tries, service=None, **kwargs):
    """{what was tried: what came of it}"""
    weir = start(lab, logs, [{"name": "probe", "match": "*", "try": tries}], service, plugins=["out_probe"], **kwargs)
    weir.wait_line(999)
    weir.stop()
    said = [row.partition("tried ")[2] for row in weir.log_text().splitlines() if "tried " in row]
    found = dict(row.rsplit(": ", 1) for row in said)
    assert sorted(found) == sorted(tries)
    return found


def check_attempts(found, works, denied):
    for what in works:
        assert found[what] == "done", (what, found[what])
    for what in denied:
        assert found[what] in DENIED, (what, found[what])


CALLS = ["ptrace", "unshare", "clone", "setns", "mount", "chroot", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
         "open_by_handle_at", "process_vm_readv", "keyctl", "init_module", "execveat", "tiocsti"]


def test_what_is_not_named_is_out_of_reach(outside, logs):
    secret, elsewhere = outside.beside("private"), outside.beside("elsewhere")
    (secret / "key").write_text("secret\n")
    (logs / "link.txt").symlink_to(secret / "key")
    works = ["read:%s" % (logs / "a.log"), "list:%s" % logs, "write:%s/by-probe" % outside.path("data"), "read:/etc/hosts",
             "remove:%s/by-probe" % outside.path("data"), "read:/proc/self/status", "read:/dev/null", "write:/dev/null",
             "list:/usr/lib"]
    denied = ["read:/etc/shadow", "list:/etc", "list:/", "read:/proc/1/status", "read:%s/key" % secret,
              "read:%s/link.txt" % logs, "read:%s/../private/key" % logs, "write:%s/x" % elsewhere, "write:%s/x" % logs,
              "write:%s" % (logs / "a.log"), "remove:%s" % (logs / "a.log"), "write:/etc/hosts", "write:/tmp/weir-probe",
              "list:/root", "execute:/bin/true", "signal:1", *("call:" + call for call in CALLS)]
    found = attempts(outside, logs, works + denied + ["call:clone3", "call:ioctl"])
    if LANDLOCK < 6:
        denied.remove("signal:1")
    check_attempts(found, works, denied)
    assert found["call:clone3"] == "Function not implemented" and found["call:ioctl"] == "Bad file descriptor"
    assert (logs / "a.log").read_bytes() == lines(0, 1000) and not list(elsewhere.iterdir())


@pytest.mark.one_build
def test_without_it_all_of_that_works(outside, logs):
    """The test above would find a probe that can't do anything anyway."""
    tries = ["read:/etc/shadow", "list:/", "read:/proc/1/status", "write:%s/x" % logs, "execute:/bin/true", "signal:1"]
    check_attempts(attempts(outside, logs, tries, {"sandbox": False}), tries, [])


def test_every_thread(outside, logs):
    weir = start(outside, logs, service={"input_threads": 3, "http_server": True,
                                         "http_listen": "unix:%s" % outside.path("admin")})
    weir.wait_line(999)
    assert len(weir.threads()) > 4
    for task in weir.threads():
        status = weir.kernel_status(task)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    weir.stop()


def test_more_is_let_through_when_it_is_said(outside, logs):
    more, own = outside.beside("more"), outside.beside("own")
    (more / "file").touch()
    found = attempts(outside, logs, ["read:%s/file" % more, "write:%s/file" % more, "write:%s/file" % own, "remove:%s/file" % own],
                     {"sandbox_read": [more], "sandbox_write": [own]})
    check_attempts(found, ["read:%s/file" % more, "write:%s/file" % own, "remove:%s/file" % own], ["write:%s/file" % more])


def test_another_user_as_well(outside, logs):
    """What both leave: /etc as far as its modes let nobody read it."""
    found = attempts(outside, logs, ["read:/etc/shadow", "list:/etc", "read:/etc/hosts", "list:/root", "list:/home"],
                     {"user": "nobody"}, env={"WEIR_PLUGIN_PATH": str(outside.plugins)})
    check_attempts(found, ["list:/etc", "read:/etc/hosts"], ["read:/etc/shadow", "list:/root", "list:/home"])


# -- What works as without --

def test_rotation_reload_restart(outside, logs):
    weir = start(outside, logs)
    weir.wait_line(999)
    (logs / "a.log").rename(logs / "a.log.1")
    append(logs / "a.log.1", lines(1000, 1100))
    weir.wait_line(1099)
    append(logs / "a.log", lines(1100, 2000))
    (logs / "below").mkdir()
    weir.wait_line(1999)
    weir.signal(signal.SIGHUP)
    weir.wait_log("generation 2 is in force")
    append(logs / "b.log", lines(2000, 2100))
    weir.wait_line(2099)
    weir.kill()
    append(logs / "b.log", lines(2100, 3000))
    weir = start(outside, logs, name="again")
    first = numbers(harness.whole_lines(outside.started[0].output()))
    assert first == list(range(2100))
    # Whatever the kill took the acknowledgement of comes again, from either file: the last line need not be the last.
    weir.wait_output(lambda data: set(first + numbers(harness.whole_lines(data))) == set(range(3000)), "every line")
    weir.stop()


def test_spool(outside):
    """A plugin that declares nothing: where it makes its socket is said with sandbox_write."""
    sock = outside.beside("in")
    config = outside.config([{"name": "lines", "path": sock / "in.sock", "storage": "disk"}], [stdout()],
                            {**ON, "sandbox_write": [sock]}, ["in_lines"])
    outside.path("in.sock").symlink_to(sock / "in.sock")
    weir = outside.start(["-c", config])
    client = Client(outside)
    client.put(1000)
    client.settle()
    weir.kill()
    weir = outside.start(["-c", config], name="again")
    client = Client(outside, first=client.next)
    client.put(1000)
    client.settle()
    weir.wait_line(1999)
    weir.stop()
    came = numbers(harness.whole_lines(outside.started[0].output())) + numbers(weir.output())
    assert sorted(set(came)) == list(range(2000))


def test_a_plugin_is_swapped(outside, logs):
    """A new file in the place of the old one is read, copied and executed as ever."""
    mark = b"version-of-this-sink:v"
    file, out = outside.add_plugin("out_versioned"), outside.beside("out")
    sink = {"name": "versioned", "alias": "sink", "match": "*", "path": out / "lines"}
    weir = Reloaded(outside, inputs(logs), [sink], {**ON, "plugin_dir": outside.plugins, "sandbox_write": [out]})
    until(lambda: (out / "lines").exists() and (out / "lines").read_bytes().endswith(lines(999, 1000)), "the lines")
    new = outside.plugins / "new"
    shutil.copy(file, new)
    new.write_bytes(new.read_bytes().replace(mark + b"0000", mark + b"0001"))
    new.rename(file)
    assert weir.ask("/api/v1/reload", "POST")[0] == 200
    append(logs / "a.log", lines(1000, 2000))
    until(lambda: (out / "lines").read_bytes().endswith(lines(1999, 2000)), "the lines of the second version")
    weir.weir.stop()
    written = (out / "lines").read_bytes().splitlines(keepends=True)
    assert numbers(b"".join(row[6:] for row in written)) == list(range(2000))
    assert [row[:5] for row in written] == [b"v0000"] * 1000 + [b"v0001"] * 1000


def test_dead_letters_and_log_file(outside, logs):
    """Both are made, and made anew after a rotation, in directories that were there."""
    letters, log = outside.beside("letters") / "file", outside.beside("own") / "weir.log"
    reject = {"name": "reject", "match": "*", "path": outside.path("data") / "rest", "dead_letter_file": letters}
    weir = start(outside, logs, [reject], {"log_file": log}, plugins=["out_reject"])
    weir.wait_line(999)
    until(letters.exists, "a dead letter")
    log.rename(log.with_suffix(".1"))
    weir.signal(signal.SIGUSR1)
    until(lambda: log.exists() and "opened anew" in log.read_text(), "the log")
    weir.stop()


# -- etcd and Kafka --

@pytest.mark.one_build
def test_etcd(outside, make_etcd, logs):
    """What etcd names must lie within allow_path as it was there at the start."""
    etcd, later = make_etcd(), outside.folder.parent / "later"
    config = {"allow_path": ["%s/**" % logs, "%s/**" % later], "service": ON, "topics": ["one"], **QUICK}
    weir = Agent(outside, etcd.endpoints(), **config)
    weir.weir.wait_log("source: option 'allow_path': %s is not there, so the sandbox does not let weir read it" % later)
    etcd.put("logAgentConf", [entry(logs / "a.log", id="good"), entry(later / "b.log", id="bad")])
    weir.wait_lines("one", lines(0, 1000))
    (where, why), = until(weir.refused, "the bad one is refused")
    assert where == "logAgentConf[2]" and "option 'path': a restart is needed: the sandbox lets weir read" in why
    assert why.endswith("and not %s" % later)
    etcd.put("logAgentConf", [entry(logs / "new" / "*.log", id="new")])
    weir.wait_inputs(["new"])
    (logs / "new").mkdir()
    append(logs / "new" / "a.log", lines(1000, 1100))
    weir.wait_lines("one", lines(0, 1100))
    assert json.loads(weir.ask("/api/v1/status")[1])["sandbox"]["landlock"] == LANDLOCK
    weir.weir.stop()
    etcd.put("logAgentConf", [entry(later / "b.log", id="bad")])
    outside.beside("later")
    append(later / "b.log", lines(1100, 1200))
    weir = Agent(outside, etcd.endpoints(), **config)
    weir.wait_lines("one", lines(0, 1200))
    weir.weir.stop()


@pytest.mark.one_build
def test_etcd_without_allow_path(outside, make_etcd, logs):
    """It may name anything, but the kernel lets nothing through; and a link does not lead out of what it does."""
    etcd, private = make_etcd(), outside.beside("private")
    append(private / "b.log", lines(0, 10))
    (logs / "c.log").symlink_to(private / "b.log")
    weir = Agent(outside, etcd.endpoints(), topics=["one"], service={**ON, "sandbox_read": [logs]}, **QUICK)
    etcd.put("logAgentConf", [entry("/etc/shadow"), entry(private / "b.log"), entry(logs / "c.log"), entry(logs / "a.log")])
    weir.wait_lines("one", lines(0, 1000))
    until(lambda: [where for where, why in weir.refused() if "a restart is needed: the sandbox" in why] == [
        "logAgentConf[1]", "logAgentConf[2]"], lambda: "two are refused: %s" % weir.refused())
    weir.weir.wait_log("%s can't be opened: Permission denied" % (logs / "c.log"))
    weir.weir.stop()
    assert weir.lines("one") == lines(0, 1000)


@pytest.mark.one_build
def test_the_copy_of_what_etcd_said(outside, make_etcd, logs):
    etcd = make_etcd()
    etcd.put("logAgentConf", [entry(logs / "a.log", id="one")])
    config = {"allow_path": ["%s/**" % logs], "service": ON, "topics": ["one"], **QUICK}
    weir = Agent(outside, etcd.endpoints(), **config)
    weir.wait_lines("one", lines(0, 1000))
    weir.weir.stop()
    etcd.remove()
    append(logs / "a.log", lines(1000, 1100))
    weir = Agent(outside, etcd.endpoints(), **config)
    weir.wait_lines("one", lines(0, 1100))
    weir.weir.stop()


@pytest.mark.one_build
def test_etcd_with_tls(outside, make_etcd, certificates, logs):
    etcd = make_etcd(tls=(certificates, "server"))
    etcd.put("logAgentConf", [entry(logs / "a.log")])
    weir = Agent(outside, etcd.endpoints(), topics=["one"], service=ON, allow_path=[str(logs) + "/**"], **QUICK,
                 **{"tls.ca_file": str(certificates.path("ca.crt")), "tls.crt_file": str(certificates.path("client.crt")),
                    "tls.key_file": str(certificates.path("client.key"))})
    weir.wait_lines("one", lines(0, 1000))
    weir.weir.stop()


@pytest.mark.kafka
def test_kafka(outside, kafka, topic, logs):
    kafka.create(topic)
    weir = ship(outside, kafka, logs / "a.log", topic, service=ON)
    until(lambda: kafka.count(topic) == 1000, lambda: "the lines; there are %d; %s" % (kafka.count(topic), weir.log_text()))
    append(logs / "a.log", lines(1000, 2000))
    weir.signal(signal.SIGHUP)
    until(lambda: kafka.count(topic) == 2000, "the lines")
    weir.stop()
    assert kafka.numbers(topic) == list(range(2000))


@pytest.mark.kafka
def test_kafka_with_tls(outside, secure_kafka, topic, logs):
    secure_kafka.create(topic)
    ship_all(outside, secure_kafka, logs / "a.log", topic, service=ON, brokers=secure_kafka.tls, rdkafka=tls(secure_kafka))
    assert secure_kafka.numbers(topic) == list(range(1000))


# -- What is said --

def test_a_reload_that_needs_more_is_refused(outside, logs):
    elsewhere, below = outside.beside("elsewhere"), logs / "below"
    below.mkdir()
    append(elsewhere / "b.log", lines(1000, 1100))
    append(below / "b.log", lines(1000, 1100))
    weir = Reloaded(outside, inputs(logs), [stdout()], ON)
    weir.weir.wait_line(999)
    path = weir.write(inputs(logs) + [tail(elsewhere / "*.log")], [stdout()])
    status, body = weir.ask("/api/v1/reload", "POST")
    row = 1 + [number for number, text in enumerate(path.read_text().splitlines()) if '"name": "tail"' in text][1]
    assert status >= 400
    assert "%s:%d" % (path, row) in body.decode() and "tail.1: option 'path': a restart is needed: the sandbox lets weir read what " \
        "was configured, and there, when it started, and not %s" % elsewhere in body.decode()
    weir.write(inputs(logs) + [tail(below / "*.log", alias="below")], [stdout()], sandbox_read=[elsewhere])
    status, body = weir.ask("/api/v1/reload", "POST")
    assert status == 200 and "needs a restart: sandbox_read" in body.decode()
    weir.weir.wait_line(1099)
    weir.weir.stop()
    assert numbers(weir.weir.output()) == list(range(1100))


def test_a_secret_that_lies_elsewhere(outside, logs):
    """It can't be read by a reload, and the answer says why."""
    token = outside.beside("secrets") / "token"
    token.write_text("a-secret-token\n")
    weir = start(outside, logs)
    weir.wait_line(999)
    outside.config(inputs(logs), [stdout()], {**ON, "http_token": "file://%s" % token})
    weir.signal(signal.SIGHUP)
    weir.wait_log("for anything else a restart is needed")
    weir.wait_log("can't read '%s': Permission denied" % token)
    weir.stop()
    weir = start(outside, logs, service={"http_token": "file://%s" % token}, name="again")
    weir.wait_log("in force")
    weir.signal(signal.SIGHUP)
    weir.wait_log("generation 2 is in force")
    weir.stop()


@pytest.mark.one_build
def test_check_tells_what_would_hold(outside, logs):
    config = outside.config(inputs(logs), [stdout()], ON)
    status, out, err = run(["check", "-c", config], outside.folder, env={**os.environ, "WEIR_PLUGIN_PATH": str(outside.plugins)})
    assert status == 0 and not err
    rows = out.decode().splitlines()
    assert rows[0].startswith("sandbox: landlock version %d, " % LANDLOCK) and rows[-1].endswith("ok, 1 input and 1 output")
    assert {"  reads  %s" % logs, "  reads  %s" % outside.folder, "  reads  %s" % outside.plugins,
            "  writes %s" % outside.path("data")} <= set(rows)
    assert not outside.path("data").exists()


@pytest.mark.one_build
@pytest.mark.parametrize("service,options,status,text", [
    ({}, {"path": "/nonexistent-weir/*.log"}, 0, "tail.0: option 'path': /nonexistent-weir is not there, so the sandbox does not let "
     "weir read it; when it is, restart weir"),
    ({}, {"path": "/**/*.log"}, 0, "tail.0: option 'path': so the sandbox lets weir read everything"),
    ({}, {"path": "/etc/hosts"}, 0, "tail.0: option 'path': of its directory the sandbox lets weir read /etc/hosts only, and not a file "
     "that takes its place: better give it a directory of its own"),
    ({"log_file": "/var/weir-test-log"}, {}, 1, "service: option 'log_file': the sandbox can't let weir make /var/weir-test-log without "
     "letting it write to all of that directory: put it into a directory of its own"),
    ({"sandbox_read": ["/nonexistent-weir"]}, {}, 0, "service: option 'sandbox_read': /nonexistent-weir is not there"),
    ({"sandbox": False, "sandbox_write": ["/srv"]}, {}, 0, "service: without 'sandbox: on' this has no effect"),
])
def test_what_can_not_be_let_through_is_said(lab, service, options, status, text):
    config = lab.config([{"name": "tail", "path": lab.path("*.log"), "tag": "t", **options}], [stdout()], {**ON, **service})
    found, _, err = run(["check", "-c", config], lab.folder)
    assert found == status and text in err.decode(), err.decode()


@pytest.mark.one_build
def test_what_was_wrong_before_it_ends_it(outside, logs):
    """One plugin file of two is refused, and nothing needs it: weir must not run on, without the sandbox."""
    config = outside.config(inputs(logs), [stdout(), {"name": "probe", "match": "none"}], ON, ["out_probe", "out_probe"])
    refused = "the output 'probe' is loaded already"
    for command in (["check"], []):
        status, _, err = run([*command, "-c", config], outside.folder, env={**os.environ, "WEIR_PLUGIN_PATH": str(outside.plugins)})
        assert status == 1 and err.decode().count(refused) == 1, err.decode()


def test_a_thread_before_it(outside, logs):
    if harness.SANITIZER == "thread":
        pytest.skip("the thread sanitizer has a thread of its own, which is let pass")
    weir = start(outside, logs, [{"name": "probe", "match": "*"}], plugins=["out_probe"], env={"PROBE_THREAD": "1"})
    weir.wait(2)
    assert "service.sandbox is on, and 1 threads are there before it: a plugin, or a library" in weir.log_text()


# -- Kernels --

def old_kernel(lab, logs, version, **kwargs):
    return start(lab, logs, preload=harness.BUILD / "tests" / "old_landlock.so", env={"OLD_LANDLOCK": str(version)}, **kwargs)


@pytest.mark.one_build
def test_a_kernel_without_landlock(outside, logs):
    weir = old_kernel(outside, logs, 0)
    weir.wait(2)
    assert "service.sandbox is on, and this kernel has no landlock (Function not implemented): it needs Linux 5.13" in weir.log_text()
    assert not weir.output()


@pytest.mark.one_build
@pytest.mark.parametrize("version", range(1, 6))
def test_an_older_landlock(outside, logs, version):
    """What that version can is asked for, and no more: else its kernel would refuse the whole."""
    tries = ["read:/etc/shadow", "write:%s/x" % logs, "write:%s/x" % outside.path("data"), "execute:/bin/true"]
    weir = old_kernel(outside, logs, version, outputs=[{"name": "probe", "match": "*", "try": tries}], plugins=["out_probe"])
    weir.wait_line(999)
    weir.wait_log("in force: landlock version %d" % version)
    for what in tries:
        weir.wait_log("tried %s: %s" % (what, "done" if "/data/" in what else "Permission denied"
                                        if not what.startswith("exec") else "Operation not permitted"))
    weir.stop()
