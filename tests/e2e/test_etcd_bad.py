# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in etcd: the good entries work, the bad ones are refused with a reason in log, metrics and status,
and nothing crashes, blocks or leaks."""
import json
import os
import threading

import pytest

from etcd_agent import KEY, entry
from etcd_server import Etcd
from harness import append, lines, numbers, scaled, until

pytest_plugins = ["etcd_fixtures"]


@pytest.fixture(scope="module")
def shared(etcd_ready, tmp_path_factory):
    """Nothing here harms etcd, so one does for all."""
    made = Etcd(tmp_path_factory.mktemp("bad") / "etcd")
    yield made
    made.remove()


@pytest.fixture
def etcd(shared):
    shared.delete(KEY)
    return shared


@pytest.fixture
def good(lab):
    """Two files with lines, and their entries."""
    paths = [lab.path("good0.log"), lab.path("good1.log")]
    for path in paths:
        append(path, lines(0, 10))
    return paths


def wait_good(weir, lines_of_each=10):
    weir.wait_lines("one", lines(0, lines_of_each))
    weir.wait_lines("two", lines(0, lines_of_each))


def check_one_refused(weir, reason, name=KEY + "[2]"):
    until(lambda: [one for one in weir.refused() if one[0] == name and reason in one[1]],
          lambda: "%s refused since %r; refused are %s" % (name, reason, weir.refused()))
    weir.weir.wait_log("%s is refused: " % name)
    assert reason in weir.weir.log_text()
    assert weir.metric("weir_etcd_refused_entries") == len(weir.refused())


@pytest.mark.parametrize("bad,reason", [
    (None, "no object"), (7, "no object"), ("/var/log/x", "no object"), ([], "no object"), ([[]], "no object"),
    ({}, "no 'path'"), ({"path": None}, "not a string"), ({"path": 1.5}, "not a string"), ({"path": True}, "not a string"),
    ({"path": {"path": "/x"}}, "not a string"), ({"path": []}, "empty list"), ({"path": ""}, "empty"),
    ({"path": "relative.log"}, "not absolute"), ({"path": "/tmp/../etc/shadow"}, "'..'"),
    ({"path": "/tmp/a\u0000b"}, "control characters"), ({"path": "/tmp/" + "a" * 5000}, "longer than"),
    ({"path": "/x" * 200}, "deeper than"),
    ({"path": "/tmp/x", "topic": 5}, None), ({"path": "/tmp/x", "topic": {"a": 1}}, "'topic' is an object"),
    ({"path": "/tmp/x", "topic": None}, "'topic' is null"), ({"path": "/tmp/x", "tag": ["a", "b"]}, "tag"),
    ({"path": "/tmp/x", "rotate_wait": "soon"}, "rotate_wait"), ({"path": "/tmp/x", "rotate_wait": {}}, "rotate_wait"),
    ({"path": "/tmp/x", "read_from_head": "perhaps"}, "read_from_head"), ({"path": "/tmp/x", "nope": 1}, "nope"),
    ({"path": "/tmp/x", "max_open_files": -1}, "max_open_files"), ({"path": "/tmp/x", "max_open_files": 1e300}, "max_open_files"),
    ({"path": "/tmp/x", "max_open_files": 10 ** 30}, None),
    ({"path": "/tmp/x", "include_regex": "("}, "include_regex"), ({"path": "/tmp/x", "alias": "y"}, "alias"),
    ({"path": "/tmp/x", "allow_path": "/**"}, "allow_path"), ({"path": "/tmp/x", "name": "exec"}, "name"),
    ({"path": "/tmp/x", "id": 3}, "'id'"), ({"path": "/tmp/x", "id": ""}, "'id'"),
    ({"path": "/tmp/x", "topic": "a/b c\u0001"}, "control characters"),
], ids=lambda value: json.dumps(value)[:40])
def test_bad_entry_between_good_ones(lab, etcd, agent, good, bad, reason):
    weir = agent(topics=["one", "two", "5"])
    etcd.quick_put(KEY, json.dumps([entry(good[0], "one"), bad, entry(good[1], "two")]))
    if bad == {"path": "/tmp/x", "topic": 5}:
        wait_good(weir)  # a number is as good as its text
        until(lambda: weir.inputs().get("/tmp/x", {}).get("topic") == "5", "its input")
    elif reason is None:
        check_one_refused(weir, "", name=KEY)  # no JSON parser takes such a number, so it is the value that is bad
    else:
        wait_good(weir)
        check_one_refused(weir, reason)
        assert set(weir.inputs()) == {str(good[0]), str(good[1])}
    etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[1], "two")])
    until(lambda: not weir.refused(), "nothing refused any more")
    wait_good(weir)
    weir.weir.stop()


@pytest.mark.parametrize("value", [
    "", "[", "null", "7", "true", '"x"', "[{]", "{,}", b"\xff\xfe[\x00]\x00", b'[{"path":"/tmp/\xff"}]', "[" * 20000 + "]" * 20000,
    '{"path":' * 20000 + "1" + "}" * 20000, "[] []", "\u0000", " "], ids=lambda value: repr(value)[:20])
def test_value_that_is_none_leaves_the_last_one(lab, etcd, agent, good, value):
    weir = agent(topics=["one", "two"])
    etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[1], "two")])
    wait_good(weir)
    revision = etcd.quick_put(KEY, value)
    weir.wait_applied(revision)
    assert [name for name, _ in weir.refused()] == [KEY]
    assert set(weir.inputs()) == {str(good[0]), str(good[1])}
    append(good[0], lines(10, 20))
    weir.wait_lines("one", lines(0, 20))
    # so it is in the next life, which only etcd tells about the bad value
    weir.weir.stop()
    append(good[1], lines(10, 20))
    later = agent(topics=["one", "two"], name="later")
    later.wait_applied(revision)
    assert [name for name, _ in later.refused()] == [KEY]
    etcd.quick_put(KEY, [entry(good[1], "two")])
    later.wait_lines("two", lines(10, 20))
    until(lambda: not later.refused(), "nothing refused any more")
    later.weir.stop()


def test_changed_entry_that_is_bad_goes_on_as_it_was(lab, etcd, agent, good):
    weir = agent(topics=["one", "two"])
    etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[1], "two")])
    wait_good(weir)
    for bad in ({"rotate_wait": {}}, {"nope": 1}, {"id": 7}):
        revision = etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[1], "two", **bad)])
        weir.wait_applied(revision)
        assert [name for name, _ in weir.refused()] == [KEY + "[2]"]
        assert set(weir.inputs()) == {str(good[0]), str(good[1])}
    append(good[1], lines(10, 20))
    weir.wait_lines("two", lines(0, 20))
    weir.weir.stop()


def test_duplicates(lab, etcd, agent, good):
    weir = agent(topics=["one", "two"])
    etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[0], "one"), entry(good[1], "two", id="x"),
                         entry(good[0], "two", id="x")])
    wait_good(weir)
    until(lambda: sorted(name for name, _ in weir.refused()) == [KEY + "[2]", KEY + "[4]"], lambda: str(weir.refused()))
    weir.weir.stop()


def test_a_megabyte_of_entries(lab, etcd, agent, good):
    many = [{"path": "/nonexistent/%05d.log" % i, "topic": "t"} for i in range(20000)]
    weir = agent(topics=["one", "two"], max_entries=1000, allow_path=[str(lab.folder) + "/**"])
    revision = etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[1], "two")] + many)
    wait_good(weir)
    weir.wait_applied(revision)
    found = weir.source()
    assert found["entries"] == 2 and found["refused_entries"] == 20000
    log = weir.weir.log_text()
    assert "outside of allow_path" in log and log.count(" is refused: ") <= 20
    etcd.quick_put(KEY, [entry(good[0], "one")])
    weir.wait_inputs(good[:1])
    weir.weir.stop()


def test_more_than_max_entries(lab, etcd, agent):
    paths = [lab.path("%d.log" % i) for i in range(12)]
    for path in paths:
        append(path, lines(0, 1))
    weir = agent(topics=["one"], max_entries=10)
    etcd.quick_put(KEY, [entry(path) for path in paths])
    weir.wait_inputs(paths[:10])
    until(lambda: [name for name, _ in weir.refused()] == [KEY + "[11]", KEY + "[12]"], lambda: str(weir.refused()))
    weir.weir.stop()


def test_value_larger_than_allowed(lab, etcd, agent, good):
    """As large as etcd takes it; the other key is read all the same."""
    weir = agent(topics=["one", "two"], max_value_size="2k", key=[KEY, "other"])
    etcd.quick_put(KEY, [entry(good[0], "one"), entry(good[1], "two")])
    wait_good(weir)
    etcd.quick_put(KEY, [entry(good[0], "one", id="x" * 1400000)])
    append(lab.path("other.log"), lines(0, 1))
    revision = etcd.quick_put("other", [entry(lab.path("other.log"), "one")])
    weir.wait_applied(revision)
    check_one_refused(weir, "max_value_size", name=KEY)
    weir.wait_inputs([good[0], good[1], lab.path("other.log")])
    weir.weir.stop()


def test_what_is_no_log(lab, etcd, agent, good):
    """Without allow_path, etcd may name anything; only files are read, and none of the kernel's own."""
    fifo, folder = lab.path("fifo.log"), lab.path("folder.log")
    os.mkfifo(fifo)
    folder.mkdir()
    named = ["/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/self/environ", "/proc/kmsg", fifo, folder, lab.path("none.log")]
    weir = agent(topics=["one", "two", "bad"])
    etcd.quick_put(KEY, [entry(good[0], "one")] + [entry(path, "bad") for path in named] + [entry(good[1], "two")])
    wait_good(weir)
    weir.wait_inputs([*named, *good])
    for path in ("/dev/zero", "/proc/self/mem", "/proc/self/environ", "/proc/kmsg", fifo):
        until(lambda: any("is not read" in text for text in weir.inputs()[str(path)]["complaints"]), lambda: weir.inputs()[str(path)])
        weir.weir.wait_log("%s is not" % path)
    append(good[0], lines(10, 20))
    weir.wait_lines("one", lines(0, 20))
    weir.weir.stop()
    assert weir.lines("bad") == b""


def test_allow_path(lab, etcd, agent, good):
    allowed = lab.path("allowed")
    allowed.mkdir()
    append(allowed / "in.log", lines(0, 10))
    (allowed / "out.log").symlink_to(good[0])
    (allowed / "dir").symlink_to(lab.folder)
    weir = agent(topics=["one", "bad"], allow_path=[str(allowed) + "/**"])
    etcd.quick_put(KEY, [entry(allowed / "in.log"), entry(good[0], "bad"), entry(allowed / "out.log", "bad"),
                         entry(allowed / "dir" / "*.log", "bad"), entry("/dev/zero", "bad"),
                         entry(str(allowed) + "-evil/x", "bad")])
    weir.wait_lines("one", lines(0, 10))
    until(lambda: [name for name, _ in weir.refused()] == [KEY + "[%d]" % i for i in (2, 5, 6)], lambda: str(weir.refused()))
    weir.weir.wait_log("%s is not read: it is %s, which allow_path does not allow" % (allowed / "out.log", good[0]))
    weir.weir.wait_log("%s is not read: it is" % (allowed / "dir" / "good0.log"))
    weir.weir.stop()
    assert weir.lines("bad") == b""


def test_symlink_that_is_swapped_all_the_time(lab, etcd, agent, good):
    """Between an allowed file and a forbidden one, about a thousand times a second."""
    allowed, secret = lab.path("allowed"), lab.path("secret")
    allowed.mkdir()
    secret.write_text("root:secret\n" * 1000)
    append(allowed / "real.txt", lines(0, 10))
    name, spare = allowed / "a.log", allowed / "spare"
    ended = threading.Event()
    swaps = [0]

    def swap():
        while not ended.wait(0.001):
            spare.symlink_to(secret if swaps[0] % 2 else allowed / "real.txt")
            spare.rename(name)
            swaps[0] += 1
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        weir = agent(topics=["one", "two"], allow_path=[str(allowed) + "/**"])
        for i in range(scaled(40, 10)):
            etcd.quick_put(KEY, [entry(name, "one", id="x%d" % i, rotate_wait="10ms")])
            weir.wait_applied(etcd.revision())
            until(lambda: weir.inputs().get("x%d" % i), "the input")
        until(lambda: swaps[0] > scaled(3000, 500) and weir.lines("one"), "many swaps", deadline=180)
    finally:
        ended.set()
        thread.join()
    weir.weir.stop()
    assert b"secret" not in weir.weir.output()
    assert set(numbers(weir.lines("one"))) == set(range(10))


@pytest.mark.parametrize("options,reason", [
    ({"endpoints": ["127.0.0.1:2379"]}, "endpoints"), ({"endpoints": []}, "endpoints"),
    ({"endpoints": ["http://user:secret@127.0.0.1:2379"]}, "user"), ({"key": []}, "key"), ({"key": [""]}, "key"),
    ({"user": "x"}, "password"), ({"tls.crt_file": "/x"}, "tls.key_file"), ({"allow_path": ["var/log"]}, "allow_path"),
    ({"status_ttl": "1s"}, "status_ttl"), ({"ping_interval": "x"}, "ping_interval"), ({"kye": "x"}, "kye"),
    ({"key": ["k%d" % i for i in range(65)]}, "key")], ids=lambda value: json.dumps(value)[:40])
def test_bad_options(lab, etcd_ready, options, reason):
    from harness import run
    config = lab.config([{"name": "etcd", "key": "k", **options}], [{"name": "stdout", "match": "*"}])
    status, _, error = run(["check", "-c", config], lab.folder)
    assert status == 1 and reason in error.decode() and "secret" not in error.decode(), error
