# SPDX-License-Identifier: Apache-2.0
"""A changed configuration: only what differs is changed, a bad one changes nothing, and nothing is lost."""
import json
import os
import random
import signal
import threading

import pytest

import harness
from harness import Writer, append, line, lines, numbers, scaled, until
from reload import Reloaded, stdout, tail


def later(path, alias="later", match="t", **options):
    return {"name": "later", "alias": alias, "match": match, "path": path, "delay": "1ms", **options}


@pytest.fixture
def start(lab):
    def make(inputs, outputs, service=None, plugins=("out_later", "out_slow", "in_counter", "in_set"), **kwargs):
        return Reloaded(lab, inputs, outputs, service, plugins, **kwargs)
    return make


# -- What is changed, and what is not -------------------------------------------------------------------------


def lasting(weir):
    """Its descriptors, but for connections, and files of the store, of which the backup is only open while it is written."""
    return {fd: what for fd, what in weir.descriptors().items() if "socket" not in what and "/data/" not in what}


def test_nothing_changed(lab, start):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout()])
    r.weir.wait_line(9)
    before = lasting(r.weir)
    said = r.reload()
    assert "1 of 1 outputs and 1 of 1 inputs are as they were" in said
    assert "generation 2 is in force" in said
    assert r.status()["generation"] == 2
    # A default that is spelled out, and values written otherwise, change nothing either.
    said = r.change([tail(path, read_from_head="yes", refresh_interval="60s", rotate_wait="5000ms")],
                    [{"format": "RAW".lower(), "match": "*", "name": "stdout", "queue_size": "16384k"}])
    assert "1 of 1 outputs" in said
    append(path, lines(10, 20))
    r.weir.wait_line(19)
    until(lambda: lasting(r.weir) == before, lambda: "%s are open, as before %s" % (lasting(r.weir), before))
    r.weir.stop()
    assert r.weir.output() == lines(0, 20)


def test_inputs_come_change_and_go(lab, start):
    a, b, c = (lab.path(name) for name in ("a.log", "b.log", "c.log"))
    for path in (a, b, c):
        path.write_bytes(b"")
    r = start([tail(a, alias="a", tag="a"), tail(b, alias="b", tag="b")], [stdout()])
    append(a, lines(0, 10))
    r.weir.wait_line(9)
    append(b, lines(10, 20))
    r.weir.wait_line(19)
    # b gets another tag and key, c is new; a is not touched.
    said = r.change([tail(a, alias="a", tag="a"), tail(b, alias="b", tag="other", key="message"),
                     tail(c, alias="c", tag="c")], [stdout()])
    assert "1 of 1 outputs and 1 of 3 inputs" in said
    append(b, lines(20, 30))
    r.weir.wait_output(lambda data: data.count(b"\n") == 30)
    append(c, lines(30, 40))
    r.weir.wait_output(lambda data: data.count(b"\n") == 40)
    assert b'"message":"%s"' % lines(20, 21).strip() in r.weir.output()
    # b goes, and comes back where it stopped.
    r.change([tail(a, alias="a", tag="a")], [stdout()])
    assert r.aliases() == (["a"], ["stdout.0"])
    append(b, lines(40, 50))
    append(a, lines(50, 60))
    r.weir.wait_line(59)
    r.change([tail(a, alias="a", tag="a"), tail(b, alias="b", tag="b")], [stdout()])
    r.weir.wait_line(49)
    r.weir.stop()
    text = r.weir.output().replace(b'"message":"', b"\n").splitlines()
    found = sorted(int(line[:9]) for line in text if line[:9].isdigit())
    assert found == list(range(60))


def test_positions_are_kept_over_a_reload_and_a_restart(lab, start):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 100))
    r = start([tail(path, alias="a", tag="one")], [stdout()])
    r.weir.wait_line(99)
    r.change([tail(path, alias="a", tag="two", topic="x")], [stdout()])
    append(path, lines(100, 200))
    r.weir.wait_line(199)
    r.weir.stop()
    append(path, lines(200, 300))
    again = lab.start(["-c", lab.path("weir.yaml")], name="again")
    again.wait_line(299)
    again.stop()
    assert r.weir.output() == lines(0, 200)
    assert again.output() == lines(200, 300)


def test_an_input_that_no_output_matched_is_rerouted(lab, start):
    """An owned one may have no route; it gets one by a reload, without being touched."""
    path, listing = lab.path("a.log"), lab.path("set")
    path.write_bytes(lines(0, 10))
    listing.write_text("one\ttail\tpath=%s\ttag=late\tread_from_head=on\n" % path)
    source = {"name": "set", "alias": "source", "path": listing, "interval": "20ms"}
    other = tail(lab.path("none.log"), tag="t", alias="none")
    r = start([source, other], [stdout(match="*")])
    r.weir.wait_line(9)
    r.change([source, other], [stdout(match="t")])
    append(path, lines(10, 20))
    r.weir.wait_log("no output matches tag 'late'")
    r.change([source, other], [stdout(match="*")])
    r.weir.wait_line(19)
    r.weir.stop()
    assert r.weir.output() == lines(0, 20)


def test_owned_inputs_follow_their_source(lab, start):
    path, listing = lab.path("a.log"), lab.path("set")
    path.write_bytes(lines(0, 10))
    listing.write_text("one\ttail\tpath=%s\ttag=t\tread_from_head=on\n" % path)
    source = {"name": "set", "alias": "source", "path": listing, "interval": "20ms"}
    r = start([source], [stdout()])
    r.weir.wait_line(9)
    said = r.reload()
    assert "1 of 1 inputs" in said and len(r.status()["inputs"]) == 2
    r.change([{**source, "interval": "10ms"}], [stdout()])  # replaced: its inputs stop, and come again
    append(path, lines(10, 20))
    r.weir.wait_line(19)
    r.weir.stop()
    assert r.weir.output() == lines(0, 20)


def test_service_settings(lab, start):
    path, log = lab.path("a.log"), lab.path("own.txt")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout()])
    r.weir.wait_line(9)
    said = r.change(r.inputs, r.outputs, log_level="debug", log_file=log, grace="1s", memory_limit="8M",
                    data_dir=lab.path("elsewhere"), input_threads=3)
    assert "needs a restart: data_dir" in said and "needs a restart: input_threads" in said
    assert "needs a restart: grace" not in said
    assert not lab.path("elsewhere").exists()
    until(lambda: log.exists() and "generation 2" in log.read_text(), "the log is written to its new file")
    # A rotated log file is opened anew.
    log.rename(lab.path("own.1"))
    r.weir.signal(signal.SIGUSR1)
    until(lambda: log.exists() and "opened anew" in log.read_text(), "the log file is opened anew")
    r.change(r.inputs, r.outputs, log_level="error")
    size = log.stat().st_size
    r.reload()
    assert log.stat().st_size == size, log.read_text()
    r.weir.stop()


def test_reload_by_signal_and_by_command(lab, start):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout()])
    r.hang_up()
    status, out, err = harness.run(["reload", "-c", "weir.yaml"], lab.folder)
    assert (status, err) == (0, b"") and b"generation 3 is in force" in out
    status, out, err = harness.run(["reload", "-s", "http_listen=unix:%s" % r.socket], lab.folder)
    assert (status, err) == (0, b"") and b"generation 4 is in force" in out
    lab.path("weir.yaml").write_text("pipeline: [")
    status, out, err = harness.run(["reload", "-s", "http_listen=unix:%s" % r.socket], lab.folder)
    assert status == 1 and not out and b"weir.yaml:" in err and b"nothing was changed" in err, err
    assert r.status()["generation"] == 4
    r.weir.stop()
    status, out, err = harness.run(["reload", "-s", "http_listen=unix:%s" % r.socket], lab.folder)
    assert status == 3 and b"does it run" in err


def test_a_configuration_of_the_command_line(lab):
    """There is nothing to change in it; it is no error, since plugin files may have changed."""
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    socket = lab.path("admin")
    weir = lab.start(["-s", "http_server=on", "-s", "http_listen=unix:%s" % socket, "-i", "tail", "-p", "path=%s" % path,
                      "-p", "read_from_head=on", "-o", "stdout", "-p", "format=raw"])
    weir.wait_line(9)
    status, out, err = harness.run(["reload", "-s", "http_listen=unix:%s" % socket], lab.folder)
    assert status == 0 and b"1 of 1 outputs and 1 of 1 inputs are as they were" in out, err
    weir.stop()


@pytest.mark.parametrize("headers,code", [({}, 200), ({"Origin": "http://localhost"}, 403), ({"Origin": "null"}, 403),
                                          ({"Host": "evil.example"}, 421)])
def test_requests_that_are_refused(lab, start, headers, code):
    r = start([tail(lab.path("a.log"))], [stdout()])
    assert r.ask("/api/v1/reload", "POST", **headers)[0] == code
    assert r.ask("/api/v1/reload", "GET")[0] == 405
    assert r.status()["generation"] == (2 if code == 200 else 1)
    r.weir.stop()


# -- What changes nothing --------------------------------------------------------------------------------------


BAD = {
    "syntax": lambda lab, text: ("pipeline:\n  inputs: [\n", "weir.yaml:"),
    "unknown option": lambda lab, text: (text.replace('"format"', '"fromat"'), "did you mean 'format'"),
    "unknown plugin": lambda lab, text: (text.replace('"stdout"', '"stduot"'), "did you mean 'stdout'"),
    "bad value": lambda lab, text: (text.replace('"raw"', '"rough"'), "wants one of"),
    "no route": lambda lab, text: (text.replace('"match": "*"', '"match": "x"'), "no output matches"),
    "missing plugin file": lambda lab, text: (text.replace('out_later.so', 'out_gone.so'), "out_gone.so"),
    "log file": lambda lab, text: (text.replace('"log_level"', '"log_file": "/nonexistent/x", "log_level"'),
                                   "/nonexistent/x"),
    "an output that can't start": lambda lab, text: (
        text.replace('"outputs": [', '"outputs": [{"name": "later", "alias": "bad", "path": "/nonexistent/x"},'),
        "output bad can't start: can't open /nonexistent/x"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_configuration_changes_nothing(lab, start, what):
    path, config = lab.path("a.log"), lab.path("weir.yaml")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout()])
    r.weir.wait_line(9)
    good = config.read_text()
    bad, words = BAD[what](lab, good)
    assert bad != good
    config.write_text(bad)
    said = r.reload(applied=False)
    assert words in said and "nothing was changed; generation 1 runs on" in said, said
    append(path, lines(10, 20))
    r.weir.wait_line(19)
    status = r.status()
    assert status["generation"] == 1
    assert [o["alias"] for o in status["outputs"]] == ["stdout.0"]
    config.write_text(good)
    assert "1 of 1 outputs and 1 of 1 inputs are as they were" in r.reload()
    r.weir.stop()
    assert r.weir.output() == lines(0, 20)


def test_an_unreadable_file(lab, start):
    r = start([tail(lab.path("a.log"))], [stdout()])
    lab.path("weir.yaml").rename(lab.path("away.yaml"))
    assert "can't read" in r.reload(applied=False)
    lab.path("weir.yaml").mkdir()
    assert "can't read" in r.reload(applied=False)
    lab.path("weir.yaml").rmdir()
    lab.path("away.yaml").rename(lab.path("weir.yaml"))
    r.reload()
    r.weir.stop()


def test_an_output_that_fails_beside_others_that_start(lab, start):
    """All or nothing: those that did start have written nothing, and are gone."""
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout()])
    r.weir.wait_line(9)
    r.write([tail(path)], [stdout(format="json_lines"), later(lab.path("good"), "good"),
                           later(lab.path("no") / "x", "bad")])
    assert "output bad can't start" in r.reload(applied=False)
    append(path, lines(10, 20))
    r.weir.wait_line(19)
    r.weir.stop()
    assert r.weir.output() == lines(0, 20)
    assert lab.path("good").read_bytes() == b""


def test_an_output_that_does_not_start(lab, start):
    """It may wait in its start, for as long as a callback may: then it is named, told to end, and nothing has changed."""
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout()], {"watchdog": "300ms"})
    r.weir.wait_line(9)
    late = {"name": "slow", "alias": "late", "match": "*", "path": lab.path("late"), "start_delay": "1h"}
    r.write([tail(path)], [stdout(format="json_lines"), late])
    said = r.reload(applied=False)
    assert "output late has not started within the 300 ms of watchdog" in said and "out_slow.so" in said, said
    assert "nothing was changed; generation 1 runs on" in said, said
    r.change([tail(path)], [stdout()])
    append(path, lines(10, 20))
    r.weir.wait_line(19)
    r.weir.stop()
    assert r.weir.output() == lines(0, 20)


def test_an_input_that_can_not_start(lab, start):
    """It starts only after the one that it replaces has stopped: so that one comes back, from where it was."""
    count = {"name": "counter", "alias": "c", "count": 1000000, "batch": 10, "interval": "1ms"}
    r = start([count], [stdout()])
    for n in range(3):
        said = r.change([{**count, "broken": True}], [stdout()])
        assert "error: input c can't start: it is broken" in said and "input c runs as it was before" in said, said
        size = len(r.weir.output())
        r.weir.wait_output(lambda data: len(data) > size + 100)
    said = r.change([count, {**count, "alias": "d", "broken": True}], [stdout()])
    assert "input d can't start" in said
    assert r.aliases()[0] == ["c"]
    r.change([{**count, "batch": 20}], [stdout()])
    size = len(r.weir.output())
    r.weir.wait_output(lambda data: len(data) > size + 100)
    r.weir.stop()
    found = [int(text) for text in r.weir.output().split()]
    assert found == list(range(len(found)))


# -- Under load ------------------------------------------------------------------------------------------------


def test_two_hundred_reloads_under_load(lab, start):
    """What goes to an output that is not touched arrives once and in order; so does what is changed all the time."""
    rounds = scaled(200, 40)
    steady, moving = lab.path("steady.log"), lab.path("moving.log")
    for path in (steady, moving):
        path.write_bytes(b"")
    inputs = [tail(steady, alias="steady", tag="steady"), tail(moving, alias="moving", tag="moving")]
    sinks = [stdout(match="steady", alias="out")]
    r = start(inputs, sinks + [later(lab.path("later.out"), match="moving")])
    until(lambda: r.weir.has_open(steady), "the steady file is open")
    before = {fd: what for fd, what in r.weir.descriptors().items() if what == str(steady)}
    writers = [Writer(steady, 20000 if not harness.SANITIZER else 5000), Writer(moving, 10000 if not harness.SANITIZER else 4000)]
    for n in range(rounds):
        r.change([inputs[0], tail(moving, alias="moving", tag="moving", **({"skip_empty_lines": True} if n % 2 else {}))],
                 sinks + [later(lab.path("later.out"), match="moving", delay="%dms" % (1 + n % 3)),
                          *([later(lab.path("extra.out"), "extra", "steady")] if n % 3 == 0 else [])],
                 log_level="info" if n % 2 else "warn")
    ends = [writer.stop() for writer in writers]
    r.weir.wait_line(ends[0] - 1)
    until(lambda: lab.path("later.out").read_bytes().endswith(line(ends[1] - 1)), "all that moves is there")
    assert {fd: what for fd, what in r.weir.descriptors().items() if what == str(steady)} == before
    assert r.status()["generation"] == rounds + 1
    r.weir.stop()
    assert numbers(r.weir.output()) == list(range(ends[0]))
    assert numbers(lab.path("later.out").read_bytes()) == list(range(ends[1]))


def test_any_changes_under_load(lab, start):
    """Five files whose inputs come, go and change, beside outputs that do; one output gets every line once, in order."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    choose = random.Random(seed)
    paths = [lab.path("%d.log" % n) for n in range(5)]
    for path in paths:
        path.write_bytes(b"")

    def an_input(n):
        names = {} if n % 2 else {"alias": "in%d" % n}
        return tail(paths[n], tag="t%d" % n, **names, **choose.choice([{}, {"topic": "x"}, {"skip_empty_lines": True}]))

    def an_output(n):
        alias = choose.choice(["one", "two", "three", None])
        where = {"path": lab.path("o%d" % n), "match": choose.choice(["*", "t1", "t*", "t3"])}
        kind = choose.choice([{"name": "later", "delay": "%dms" % choose.randrange(1, 30)},
                              {"name": "slow", "delay": "1ms"}, {"name": "slow", "delay": "1h"},
                              {"name": "later", "path": "/nonexistent/x"}])
        return {**where, **kind, **({"alias": alias} if alias else {})}
    everything = stdout(alias="all", match="*")
    r = start([an_input(n) for n in range(5)], [everything], {"grace": "20ms", "input_threads": 2})
    first = [n * 10000000 for n in range(5)]
    writers = [Writer(path, 200 if harness.SANITIZER else 2000, first=first[n]) for n, path in enumerate(paths)]
    applied = 0
    for _ in range(scaled(150, 30)):
        chosen = choose.sample(range(5), choose.randrange(1, 6))
        outputs = [everything, *(an_output(n) for n in range(choose.randrange(4)))]
        choose.shuffle(outputs)
        r.write([an_input(n) for n in chosen], outputs)
        code, _ = r.ask("/api/v1/reload", "POST")  # two outputs of the same alias, or one that can't start: refused
        assert code in (200, 409)
        applied += code == 200
    ends = [writer.stop() for writer in writers]
    r.change([an_input(n) for n in range(5)], [everything])
    assert applied and r.status()["generation"] == applied + 2

    def have_all():
        found = numbers(harness.whole_lines(r.weir.output()))
        return sum(ends) - sum(first) <= len(found) and found
    found = until(have_all, "all lines; seed %d" % seed)
    r.weir.stop()
    for n in range(5):
        assert [number for number in found if number // 10000000 == n] == list(range(first[n], ends[n])), seed


def test_requests_at_the_same_time_wait_for_each_other(lab, start):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [stdout(), later(lab.path("x"), delay="20ms")])
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(r.ask("/api/v1/reload", "POST"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [code for code, _ in answers] == [200] * 20
    assert sorted(json.loads(body)["generation"] for _, body in answers) == list(range(2, 22))
    r.weir.stop()


def test_stop_during_a_reload(lab, start):
    """The old output has more to finish than the reload waits for; the stop finds everything in order."""
    path = lab.path("a.log")
    count = scaled(20000, 2000)
    path.write_bytes(lines(0, count))
    r = start([tail(path)], [later(lab.path("x"), delay="300ms")], {"grace": "1m"})
    until(lambda: r.status()["inputs"][0]["records"] == count, "all is read")
    r.write([tail(path)], [later(lab.path("x"), delay="1ms")])
    r.weir.signal(signal.SIGHUP)
    r.weir.wait_log("output later is replaced")
    r.weir.stop()
    assert numbers(lab.path("x").read_bytes()) == list(range(count))


def test_memory_and_descriptors_do_not_grow(lab, start):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    r = start([tail(path)], [later(lab.path("x"), match="t")])

    def reload_often(rounds):
        for n in range(rounds):
            r.change([tail(path)], [later(lab.path("x"), match="t", delay="%dms" % (1 + n % 2))])
            append(path, b"x\n")
    reload_often(10)
    descriptors, memory = len(r.weir.descriptors()), r.weir.memory()
    reload_often(scaled(100, 30))
    until(lambda: len(r.weir.descriptors()) <= descriptors, lambda: str(r.weir.descriptors()))  # ours may linger
    if not harness.SANITIZER:
        assert r.weir.memory() < memory + (2 << 20)
    r.weir.stop()
    assert os.path.exists(lab.path("x"))
