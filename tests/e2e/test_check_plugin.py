# SPDX-License-Identifier: Apache-2.0
"""weir check-plugin: each fault of a plugin is named, and a good plugin passes."""
import re
import subprocess

import pytest

import harness

pytestmark = pytest.mark.one_build

BROKEN_OUTPUT = {
    "finishes_twice": "finish: a chunk is finished twice",
    "finishes_and_returns": "finish: a chunk is finished twice: by host->finish, and by what write returned",
    "finishes_after_destroy": "finish: called after destroy",
    "finishes_after_stopped": "finish: called after host->stopped",
    "leaks_descriptor": "the newest is /dev/null",
    "leaks_memory": "leaks memory: ",
    "leaks_thread": "leaks threads: ",
    "wrong_thread": "wait: called on another thread than the instance's",
    "ignores_stop": "ignores stop: host->stopped was not called",
    "hangs_in_stop": "ignores stop: host->stopped was not called",
    "hangs_in_write": "hangs in the callback 'write': it did not return within ",
    "crashes_in_write": "crashes: SIGSEGV (Segmentation fault) in the callback 'write'",
    "crashes_in_destroy": "crashes: SIGABRT (Aborted) in the callback 'destroy'",
    "overflows_stack": "crashes: SIGSEGV (Segmentation fault) in the callback 'write'",
    "exits": "ends the process, with status 7, in write",
    "opens_in_create": "create: opened /etc/passwd",
    "no_result": "write: returned 42, which is no enum weir_result",
    "rejects_late": "reject: the chunk is finished already",
    "silent_start": "start: fails with -5 and does not say why",
    "silent_create": "create fails: and does not say why",
}
BROKEN_INPUT = {
    "wrong_thread": "chunk_begin: called on another thread than the instance's",
    "ignores_stop": "ignores stop: host->stopped was not called in time",
    "leaves_stream": "the stream 's' is left open by the instance that goes",
    "leaves_timer": "a timer is left, and no instance is",
    "leaves_draft": "a draft is neither sent nor cancelled",
    "offsets_go_down": "the offset of 's' goes down",
    "counts_wrong": "the draft says 2 records and has 1",
    "sends_nonsense": "record 1 of the chunk is no record",
    "calls_after_stopped": "stream_open: called after host->stopped",
    "bad_details": "details: writes what is no JSON",
    "crashes_in_timer": "crashes: SIGSEGV (Segmentation fault) in the callback 'a timer'",
    "hangs_in_timer": "hangs in the callback 'a timer'",
}
# Under sanitizers a leak or a bad address is reported by these, in their own words and earlier.
ELSEWHERE = ("leaks_memory", "crashes_in_write", "crashes_in_timer", "overflows_stack") if harness.SANITIZER else ()
BAD = {
    "bad_symbol": "it does not define weir_plugin_descriptor",
    "bad_abi": "is built for version 2 of the plugin interface, this weir has version 1",
    "bad_size": "its descriptor is too small",
    "bad_create": "the input 'bad_create' lacks the callback 'create'",
    "bad_write": "the output 'bad_write' lacks the callback 'write'",
    "bad_option": "option 'far': its offset lies outside of the configuration structure",
    "bad_default": "option 'number': its default is no value of its type and range",
}


def check(lab, plugin, *args):
    path = plugin if "/" in str(plugin) else harness.TEST_PLUGINS / (plugin + ".so")
    status, out, err = harness.run(["check-plugin", path, *args], lab.folder)
    out = out.decode()
    assert status == (0 if out.endswith("\nNothing wrong was found.\n") else 1), out + err.decode()
    return status, out


def broken(lab, plugin, fault, words):
    limit = "1s" if fault.startswith(("hangs", "ignores")) else "10s"
    status, said = check(lab, plugin, "--option", "fault=" + fault, "--cycles", "200", "--limit", limit)
    assert status == 1 and "wrong: " in said and words in said, said


@pytest.mark.parametrize("fault", BROKEN_OUTPUT)
def test_broken_outputs(lab, fault):
    if fault in ELSEWHERE:
        pytest.skip("the sanitizer names it")
    broken(lab, "out_broken", fault, BROKEN_OUTPUT[fault])


@pytest.mark.parametrize("fault", BROKEN_INPUT)
def test_broken_inputs(lab, fault):
    if fault in ELSEWHERE:
        pytest.skip("the sanitizer names it")
    broken(lab, "in_broken", fault, BROKEN_INPUT[fault])


@pytest.mark.parametrize("plugin", BAD)
def test_refused_by_the_loader(lab, plugin):
    status, said = check(lab, plugin)
    assert status == 1 and "wrong: weir refuses it: " in said and BAD[plugin] in said, said


def test_odd_table(lab):
    status, said = check(lab, "odd_table", "--cycles", "1")
    for words in ("option 'text': has no help", "option 'text': is required, so its default is never used",
                  "the descriptor says no version", "option 'match': every output has one of that name", "the descriptor has no summary"):
        assert "wrong: " + words in said, said
    assert status == 1


def test_nothing_there(lab):
    status, said = check(lab, lab.path("nowhere.so"))
    assert status == 1 and "No such file" in said, said


GOOD = {
    "out_broken": ["fault=none"], "in_broken": ["fault=none"], "newer_input": [], "in_counter": ["count=1000000"],
    "out_flaky": ["path=f"], "out_later": ["path=f", "delay=1ms"], "out_slow": ["path=f", "delay=1ms"], "out_reject": ["path=f"],
}


@pytest.mark.parametrize("plugin", GOOD)
def test_good_ones(lab, plugin):
    options = [word for option in GOOD[plugin] for word in ("--option", option)]
    status, said = check(lab, plugin, "--cycles", "100", *options)
    if plugin == "newer_input":  # which has no words for anybody
        assert status == 1 and "lives" in said and "weir refuses" not in said, said
    else:
        assert status == 0, said


def test_one_that_waits_for_ever_is_told_to_give_up(lab):
    status, said = check(lab, "out_broken", "--option", "fault=waits_for_ever", "--cycles", "2")
    assert status == 0 and "no chunk was finished" in said, said


@pytest.mark.parametrize("plugin,options", [
    ("out_stdout", []), ("out_kafka", ["brokers=127.0.0.1:1"]), ("in_tail", ["path=*.log", "read_from_head=on"]),
    ("in_etcd", ["endpoints=http://127.0.0.1:1", "key=k"])])
def test_our_own(lab, plugin, options):
    """With nothing to talk to, which is when most is in the middle of something."""
    if plugin == "out_kafka" and harness.SANITIZER:
        pytest.skip("librdkafka's own threads and memory")
    lab.path("a.log").write_bytes(harness.lines(0, 100))
    words = [word for option in options for word in ("--option", option)]
    cycles = 1000 if plugin == "out_stdout" and not harness.SANITIZER else 60
    status, said = check(lab, harness.BUILD / "plugins" / (plugin + ".so"), "--cycles", str(cycles), *words)
    assert status == 0, said


@pytest.fixture
def mock_broker(lab):
    """librdkafka's mock cluster, in a kcat that is given nothing to send; it says where it listens."""
    log = lab.path("mock.log")
    with open(log, "wb") as out:
        process = subprocess.Popen(["kcat", "-P", "-b", "127.0.0.1:1", "-t", "none", "-X", "test.mock.num.brokers=1",
                                    "-X", "debug=mock"], stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        yield harness.until(lambda: re.search(r"bootstrap\.servers=(\S+)", log.read_text(errors="replace")),
                            "the mock broker listens").group(1)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(bool(harness.SANITIZER), reason="librdkafka's own threads and memory")
def test_kafka_with_a_broker_that_answers(lab, mock_broker):
    """Lives in which chunks are delivered, and those that are stopped in the middle of it."""
    status, said = check(lab, harness.BUILD / "plugins/out_kafka.so", "--cycles", "60", "--option", "brokers=" + mock_broker)
    assert status == 0, said
    assert int(re.search(r"(\d+) finished for good", said).group(1)) > 0, said


@pytest.mark.parametrize("args,words", [
    ([], "the file is missing"), (["a.so", "b.so"], "one file too many"), (["a.so", "--cycles", "0"], "--cycles wants"),
    (["a.so", "--option", "x"], "--option wants K=V"), (["a.so", "--limit"], "--limit wants a value"),
    (["a.so", "--nonsense"], "unknown flag"), (["a.so", "--limit", "soon"], "--limit wants a time")])
def test_usage(lab, args, words):
    status, out, err = harness.run(["check-plugin", *args], lab.folder)
    assert status == 1 and out == b"" and words in err.decode() and err.startswith(b"error: "), err


def test_required_option(lab):
    status, said = check(lab, "out_later")
    assert status == 1 and "can't be run with these options (--option K=V)" in said and "path" in said, said
    status, said = check(lab, "out_later", "--option", "pth=x")
    assert status == 1 and "did you mean 'path'" in said, said
