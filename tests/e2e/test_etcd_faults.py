# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to etcd and on the way to it, weir ends at the newest configuration, and files go on meanwhile."""
import json
import shutil
import signal
import stat
import subprocess

import pytest

from etcd_agent import KEY, QUICK, Agent, entry
from etcd_gateway import Gateway
from harness import Writer, append, lines, numbers, scaled, until
from ports import free_ports

pytest_plugins = ["etcd_fixtures"]


@pytest.fixture
def files(lab):
    paths = [lab.path("f%d.log" % i) for i in range(5)]
    for i, path in enumerate(paths):
        append(path, lines(i, i + 1))
    return paths


def final(weir, etcd, files, node=0):
    """Puts a last value and waits until it is what is in force, exactly."""
    revision = etcd.quick_put(KEY, [entry(path) for path in files[2:]], node)
    weir.wait_applied(revision)
    weir.wait_inputs(files[2:])
    return revision


@pytest.mark.parametrize("how", ["stopped", "dropped", "frozen"])
def test_cut_off_while_the_key_changes_and_history_is_compacted(lab, etcd, files, make_proxy, how):
    proxy = make_proxy(etcd.ports[0])
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, ["http://127.0.0.1:%d" % proxy.port], topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    if how == "stopped":
        weir.weir.freeze()
    else:
        {"dropped": proxy.cut, "frozen": proxy.freeze}[how]()
    for i in range(30):
        revision = etcd.quick_put(KEY, [entry(path) for path in files[i % 5:]])
    etcd.compact()
    if how == "stopped":
        weir.weir.thaw()
    elif how == "frozen":
        until(lambda: not weir.source()["connected"], "that the silence is noticed")
        append(files[0], lines(100, 101))
        until(lambda: lines(100, 101) in weir.lines("one"), "a line while etcd is away")
    proxy.mend()
    weir.wait_applied(revision)
    weir.wait_inputs(files[4:])
    final(weir, etcd, files)
    weir.weir.stop()


def test_answer_that_the_watch_overtakes(lab, etcd, files):
    """The answer to a read and what the watch tells come on two connections: an older answer that is late is no older etcd."""
    gateway = Gateway(etcd.ports[0])
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, [gateway.url], topics=["one"], **{**QUICK, "request_timeout": "60s"})
    weir.wait_inputs(files[:1])
    held = []

    def hold(path, body):
        if not path.endswith("/kv/txn") or b"keys_only" in body or held:
            return None
        held.append(json.dumps(etcd.post(path, json.loads(body))).encode())
        revision = etcd.quick_put(KEY, [entry(files[2])])
        until(lambda: weir.source()["revision"] >= revision, "what the watch tells")
        return 200, held[0]
    gateway.answer = hold
    etcd.quick_put(KEY, [entry(files[1])])
    until(lambda: held, "the answer that is late")
    weir.wait_inputs(files[2:3])
    assert "went back" not in weir.weir.log_text()
    final(weir, etcd, files)
    weir.weir.stop()
    gateway.end()


def test_compaction_under_the_watch(lab, etcd, files, make_proxy):
    """The watch begins again with a revision that is gone by then."""
    gateway = Gateway(etcd.ports[0])
    refused = []

    def watch(send, passed):
        if not refused:
            refused.append(True)
            send(b'{"result":{"header":{"revision":"9"},"created":true,"canceled":true,"compact_revision":"9"}}\n')
        else:
            passed()
    gateway.watch = watch
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, [gateway.url], topics=["one"], **QUICK)
    weir.weir.wait_log("compacted; everything is read again")
    final(weir, etcd, files)
    weir.weir.stop()
    gateway.end()


def test_killed_and_back(lab, etcd, files):
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    for round_ in range(scaled(3, 1)):
        etcd.kill()
        until(lambda: not weir.source()["connected"], "that it is noticed")
        assert weir.metric("weir_etcd_connected") == 0
        append(files[0], lines(100 + round_, 101 + round_))
        until(lambda: lines(100 + round_, 101 + round_) in weir.lines("one"), "a line while etcd is away")
        etcd.start()
        etcd.quick_put(KEY, [entry(files[0]), entry(files[1 + round_])])
        weir.wait_inputs([files[0], files[1 + round_]])
    weir.weir.wait_log("connected again")
    final(weir, etcd, files)
    weir.weir.stop()


def test_one_of_three_is_killed(lab, make_etcd, files):
    etcd = make_etcd(nodes=3)
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    etcd.kill(0)
    revision = etcd.quick_put(KEY, [entry(files[1])], 1)
    weir.wait_applied(revision)
    weir.wait_inputs(files[1:2])
    final(weir, etcd, files, node=2)
    weir.weir.stop()


def test_cluster_that_loses_its_leader(lab, make_etcd, files):
    etcd = make_etcd(nodes=3)
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    leader = etcd.leader()
    etcd.pause(leader)
    other = (leader + 1) % 3
    revision = etcd.quick_put(KEY, [entry(files[1])], other)  # once there is another leader
    weir.wait_applied(revision)
    etcd.resume(leader)
    final(weir, etcd, files, node=other)
    weir.weir.stop()


def test_member_that_is_cut_off_from_the_others(lab, make_etcd, make_proxy, files):
    """It still answers, and keeps its watches open, without ever saying anything again."""
    ports = free_ports(9)
    proxies = [make_proxy(ports[3 + node], ports[6 + node]) for node in range(3)]
    etcd = make_etcd(nodes=3, ports=ports[:6], advertised=ports[6:])
    etcd.quick_put(KEY, [entry(files[0])])
    # The member that weir talks to is stopped from hearing the others, and they from hearing it.
    weir = Agent(lab, [etcd.endpoint(0), etcd.endpoint(1)], topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    for proxy in proxies:
        proxy.cut()
    until(lambda: not weir.source()["connected"], "that a member without a leader is left")
    for proxy in proxies[1:]:
        proxy.mend()
    revision = etcd.quick_put(KEY, [entry(files[1])], 1)  # once the other two have a leader
    weir.wait_applied(revision)
    weir.wait_inputs(files[1:2])
    proxies[0].mend()
    final(weir, etcd, files, node=1)
    weir.weir.stop()


def test_restore_from_a_snapshot(lab, make_etcd, files):
    """Its revision is lower, and what it says now holds."""
    etcd = make_etcd()
    etcd.quick_put(KEY, [entry(files[0])])
    snapshot = etcd.folder / "snapshot"
    etcd.ctl("snapshot", "save", snapshot)
    for i in range(20):
        etcd.quick_put(KEY, [entry(files[1]), entry(files[2])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.wait_inputs(files[1:3])
    etcd.kill()
    shutil.rmtree(etcd.folder / "m0")
    restored = subprocess.run(
        ["etcdctl", "snapshot", "restore", snapshot, "--name", "m0", "--data-dir", etcd.folder / "m0", "--initial-cluster",
         "m0=http://127.0.0.1:%d" % etcd.peers[0], "--initial-advertise-peer-urls", "http://127.0.0.1:%d" % etcd.peers[0]],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin:/usr/local/bin"}, capture_output=True, check=False, timeout=60)
    assert restored.returncode == 0, restored.stderr
    etcd.start()
    weir.wait_inputs(files[:1])
    log = weir.weir.log_text()
    assert "another cluster" in log or "went back" in log
    final(weir, etcd, files)
    weir.weir.stop()


def test_answers_split_at_every_byte(lab, etcd, files):
    gateway = Gateway(etcd.ports[0])
    gateway.piece = 1
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, [gateway.url], topics=["one"])
    weir.wait_inputs(files[:1])
    final(weir, etcd, files)
    etcd.delete(KEY)
    weir.wait_inputs([])
    weir.weir.stop()
    gateway.end()


@pytest.mark.parametrize("said", [
    b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}\n', b"nonsense\n", b"[]\n", b"{}\n",
    b'{"result":7}\n', b'{"result":{"header":[],"events":{}}}\n', b'{"result":{"canceled":true}}\n',
    b'{"result":{"header":{"revision":"x"},"events":[1]}}\n', b'{"a":' * 20000, b"\x00\xff", b""],
    ids=lambda value: repr(value)[2:30])
def test_watch_that_goes_wrong_in_the_middle(lab, etcd, files, said):
    gateway = Gateway(etcd.ports[0])
    times = []

    def watch(send, passed):
        times.append(1)
        if len(times) > 3:
            passed()
            return
        send(b'{"result":{"header":{"revision":"1"},"created":true}}\n')
        if said:
            send(said)
    gateway.watch = watch
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, [gateway.url], topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    until(lambda: len(times) > 3, "that it watches again")
    final(weir, etcd, files)
    weir.weir.stop()
    gateway.end()


@pytest.mark.parametrize("status,answer", [
    (200, b"{}"), (200, b"[]"), (200, b""), (200, b"nonsense"), (500, b'{"error":"x"}'), (404, b"Not Found"),
    (200, b'{"header":{"revision":7},"responses":{}}'), (200, b'{"header":{"revision":"7"},"responses":[7]}'),
    (200, b'{"header":{"revision":"7"},"responses":[{"response_range":{"kvs":[{"key":1}]}}]}'),
    (200, b'{"header":{"revision":"7"},"responses":[{"response_range":{"kvs":[{"key":"!"}]}}]}'),
    (200, b'{"a":' * 20000), (301, b"")], ids=lambda value: repr(value)[:40])
def test_answers_that_are_none(lab, etcd, files, status, answer):
    """They leave what is in force, and are told; once etcd answers again, it goes on."""
    gateway = Gateway(etcd.ports[0])
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, [gateway.url], topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    bad = []

    def say(path, body):
        if path.endswith("/kv/txn"):
            bad.append(path)
            return status, answer
        return None
    gateway.answer = say
    etcd.quick_put(KEY, [entry(files[1])])
    until(lambda: len(bad) > 2, "bad answers")
    until(lambda: not weir.source()["connected"], "that it is told")
    assert set(weir.inputs()) == {str(files[0])}
    gateway.answer = lambda path, body: None
    weir.wait_inputs(files[1:2])
    final(weir, etcd, files)
    weir.weir.stop()
    gateway.end()


def gateway_of_silent_watches(etcd):
    """It, and a list with one member for each watch that was asked for: those end when it is cleared."""
    gateway = Gateway(etcd.ports[0])
    silent = []

    def watch(send, passed):
        send(b'{"result":{"header":{"revision":"1"},"created":true}}\n')
        silent.append(1)
        until(lambda: not silent, "the end", deadline=60)
    gateway.watch = watch
    return gateway, silent


def test_watch_that_says_nothing(lab, etcd, files):
    """Events are lost: the comparison of revisions finds what changed."""
    gateway, silent = gateway_of_silent_watches(etcd)
    # A request that ran out of time would have it watch again.
    weir = Agent(lab, [gateway.url], topics=["one"], **{**QUICK, "request_timeout": "60s"})
    until(lambda: silent, "the watch")
    for path in files[:3]:
        etcd.quick_put(KEY, [entry(path)])
        weir.wait_inputs([path])
    etcd.delete(KEY)
    weir.wait_inputs([])
    assert len(silent) == 1
    silent.clear()
    weir.weir.stop()
    gateway.end()


def test_what_watch_and_pings_miss_is_found_by_reading_again(lab, etcd, files):
    """resync_interval: neither is trusted for ever."""
    gateway, silent = gateway_of_silent_watches(etcd)
    weir = Agent(lab, [gateway.url], topics=["one"], ping_interval="1h", resync_interval="300ms")
    until(lambda: silent, "the watch")
    for path in files[:2]:
        etcd.quick_put(KEY, [entry(path)])
        weir.wait_inputs([path])
    assert len(silent) == 1
    silent.clear()
    weir.weir.stop()
    gateway.end()


def test_watch_that_is_never_confirmed(lab, etcd, files):
    gateway = Gateway(etcd.ports[0])
    held = [True]
    gateway.watch = lambda send, passed: until(lambda: not held, "the end", deadline=60) if held else passed()
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, [gateway.url], topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])  # what was read is in force already
    weir.weir.wait_log("the watch is not confirmed")
    held.clear()
    final(weir, etcd, files)
    weir.weir.stop()
    gateway.end()


def test_leader_is_asked_for(lab, etcd, files):
    gateway = Gateway(etcd.ports[0])
    weir = Agent(lab, [gateway.url], topics=["one"])
    until(lambda: weir.source().get("connected"), "the connection")
    assert {headers.get("Grpc-Metadata-hasleader") for path, headers in gateway.asked if path.endswith("/watch")} == {"true"}
    weir.weir.stop()
    gateway.end()


def test_older_gateway(lab, etcd, files):
    """etcd 3.3 has its gateway under /v3beta, which 3.4 still serves; one that hides /v3 is found out, too."""
    gateway = Gateway(etcd.ports[0])
    gateway.answer = lambda path, body: (404, b"Not Found") if path.startswith("/v3/") or path == "/version" else None
    weir = Agent(lab, [gateway.url], topics=["one"])
    final(weir, etcd, files)
    weir.weir.stop()
    gateway.end()


# -- Without etcd -----------------------------------------------------------------------------------------


def wait_kept(lab, path):
    """Until the configuration that names that path is kept; where."""
    kept = lab.path("data") / "etcd.source.json"
    until(lambda: kept.exists() and str(path) in kept.read_text(), "the kept configuration")
    return kept


def test_boots_without_etcd(lab, etcd, files):
    etcd.quick_put(KEY, [entry(files[0]), entry(files[1])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    until(lambda: sorted(numbers(weir.lines("one"))) == [0, 1], "what is there")
    wait_kept(lab, files[1])
    weir.weir.stop()
    etcd.kill()
    append(files[0], lines(10, 20))
    later = Agent(lab, etcd.endpoints(), topics=["one"], name="later", **QUICK)
    later.wait_lines("one", lines(10, 20))
    later.weir.wait_log("the last configuration is in force")
    etcd.start()
    until(lambda: later.source()["connected"], "the connection")
    final(later, etcd, files)
    later.weir.stop()


def test_boots_without_etcd_after_kill(lab, etcd, files):
    """What was applied is kept soon, not at the stop."""
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    wait_kept(lab, files[0])
    assert stat.S_IMODE((lab.path("data") / "etcd.source.json").stat().st_mode) == 0o600
    weir.weir.kill()
    etcd.kill()
    later = Agent(lab, etcd.endpoints(), topics=["one"], name="later", **QUICK)
    later.wait_inputs(files[:1])
    later.weir.stop()


def test_first_boot_without_etcd(lab, etcd, files):
    etcd.quick_put(KEY, [entry(files[0])])
    etcd.kill()
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.weir.wait_log("nothing is followed until it does")
    weir.source()  # it answers by now
    assert weir.ask("/readyz")[0] == 503
    etcd.start()
    weir.wait_inputs(files[:1])
    until(lambda: weir.ask("/readyz")[0] == 200, "ready")
    weir.weir.stop()


@pytest.mark.parametrize("damage", ["cut", "garbage", "other keys", "empty"])
def test_kept_configuration_that_is_none(lab, etcd, files, damage):
    etcd.quick_put(KEY, [entry(files[0])])
    weir = Agent(lab, etcd.endpoints(), topics=["one"], **QUICK)
    weir.wait_inputs(files[:1])
    kept = wait_kept(lab, files[0])
    weir.weir.stop()
    etcd.kill()
    text = kept.read_text()
    if damage != "other keys":
        kept.write_bytes({"cut": text[:-5].encode(), "garbage": b"\x00" * 1000, "empty": b""}[damage])
    later = Agent(lab, etcd.endpoints(), topics=["one"], name="later",
                  key="another" if damage == "other keys" else KEY, **QUICK)
    later.weir.wait_log("nothing is followed until it does")
    if damage == "other keys":
        assert not later.inputs()
    else:
        etcd.start()
        final(later, etcd, files)
    later.weir.stop()


def test_file_goes_on_through_it_all(lab, etcd, make_proxy, files):
    """Lines are written while etcd is cut off, killed and comes back: each arrives once, in order."""
    proxy = make_proxy(etcd.ports[0])
    kept = lab.path("kept.log")
    etcd.quick_put(KEY, [entry(kept, "kept")])
    weir = Agent(lab, ["http://127.0.0.1:%d" % proxy.port], topics=["kept", "one"], **QUICK)
    weir.wait_inputs([kept])
    writer = Writer(kept, 5000)
    for i in range(scaled(4, 2)):
        proxy.cut()
        until(lambda: not weir.source()["connected"], "that it is noticed")
        etcd.kill()
        etcd.start()
        etcd.quick_put(KEY, [entry(files[i % 5]), entry(kept, "kept")])
        proxy.mend()
        weir.wait_inputs([files[i % 5], kept])
    written = writer.stop()
    until(lambda: len(weir.lines("kept")) >= len(lines(0, written)), "all lines")
    weir.weir.stop()
    assert numbers(weir.lines("kept")) == list(range(written))


def test_what_was_refused_is_tried_again(lab, etcd):
    """Within seconds, not only after resync_interval: here no output takes it, until a reload brings one."""
    append(lab.path("a.log"), lines(0, 10))
    source = {"name": "etcd", "alias": "source", "endpoints": etcd.endpoints(), "key": KEY, "tag": "src", **QUICK}
    sink = {"name": "stdout", "match": "*", "format": "raw"}
    config = lab.config([source], [{**sink, "match_topic": "one"}])
    etcd.put(KEY, [entry(lab.path("a.log"), "two")])
    weir = lab.start(["-c", config])
    weir.wait_log("no output matches tag 'src' and topic 'two'")
    lab.config([source], [sink])
    weir.signal(signal.SIGHUP)
    weir.wait_output(lambda data: data == lines(0, 10))
    weir.stop()
    assert weir.log_text().count("no output matches tag 'src' and topic 'two'") == 1, "it is said once"
