# SPDX-License-Identifier: Apache-2.0
"""Outputs that stall, fail, finish late or refuse, and inputs that are not files: with the plugins of tests/plugins."""

from harness import Writer, append, line, lines, numbers, scaled, until, whole_lines

WIDTH = 200
QUICK = {"scheduler.base": "1ms", "scheduler.cap": "20ms"}


def tail(path, tag, **options):
    return {"name": "tail", "alias": "in-" + tag, "path": path, "tag": tag, "read_from_head": True, **options}


def stdout(match):
    return {"name": "stdout", "match": match, "format": "raw"}


def taken(path):
    return path.read_bytes() if path.exists() else b""


def test_a_stalled_output_stops_only_its_inputs(lab):
    """One output takes nothing, ever: the input that it shares with the other stops, the other's own goes on."""
    count = scaled(20000, 10000)
    alone, shared, sink = lab.path("alone"), lab.path("shared"), lab.path("sink")
    alone.write_bytes(lines(0, count, WIDTH))
    shared.write_bytes(lines(count, 2 * count, WIDTH))
    inputs = [tail(alone, "alone"), tail(shared, "shared")]
    outputs = [stdout("*"), {"name": "flaky", "match": "shared", "path": sink, "every": 1, "queue_size": "128k"}]
    config = lab.config(inputs, outputs, {**QUICK, "grace": "100ms"}, plugins=["out_flaky"])
    weir = lab.start(["-c", config], name="first")

    def arrived(data):
        every = numbers(whole_lines(data), WIDTH)
        return sum(number < count for number in every), sum(count <= number < 2 * count for number in every)
    weir.wait_output(lambda data: arrived(data)[0] == count, "all of the input that is not stalled")
    # What both outputs take comes out here, too: it ends where the other one's queue is full.
    append(alone, line(999999, WIDTH))
    weir.wait_output(lambda data: line(999999, WIDTH) in data, "what the other input got meanwhile")
    assert arrived(weir.output())[1] < count, "the stalled output's input was read to its end"
    assert taken(sink) == b""
    weir.stop()

    # It takes again: every line of the shared input reaches both, in order.
    outputs[1]["every"] = 0
    config = lab.config(inputs, outputs, QUICK, plugins=["out_flaky"])
    weir = lab.start(["-c", config], name="second")
    until(lambda: taken(sink).endswith(line(2 * count - 1, WIDTH)), "the stalled output's lines")
    weir.wait_output(lambda data: line(2 * count - 1, WIDTH) in data)
    weir.stop()
    assert numbers(taken(sink), WIDTH) == list(range(count, 2 * count))
    both = lab.path("first.out").read_bytes() + lab.path("second.out").read_bytes()
    assert set(numbers(both, WIDTH)) == set(range(2 * count)) | {999999}


def test_retries_keep_the_order(lab):
    count = scaled(20000, 5000)
    path, sink = lab.path("in.log"), lab.path("sink")
    path.write_bytes(lines(0, count, WIDTH))
    config = lab.config([tail(path, "a", exit_on_eof=True)],
                        [{"name": "flaky", "match": "*", "path": sink, "retries": 2, "every": 3}], QUICK,
                        plugins=["out_flaky"])
    weir = lab.start(["-c", config])
    weir.wait(0)
    assert taken(sink) == lines(0, count, WIDTH)


def test_an_output_that_finishes_later(lab):
    """Chunks under way at a kill come again; after a stop, nothing does."""
    path, sink = lab.path("in.log"), lab.path("sink")
    path.write_bytes(b"")
    config = lab.config([tail(path, "a")], [{"name": "later", "match": "*", "path": sink, "delay": "20ms"}],
                        {"checkpoint_interval": "20ms"}, plugins=["out_later"])
    writer = Writer(path, 5000)
    for turn in range(scaled(10, 4)):
        weir = lab.start(["-c", config], name="kill%d" % turn)
        size = len(taken(sink))
        until(lambda: len(taken(sink)) > size, "something new")
        weir.kill()
    count = writer.stop()
    weir = lab.start(["-c", config], name="last")
    weir.wait_log("is followed from")  # the last line may be there already
    until(lambda: taken(sink).endswith(line(count - 1)), "the last line")
    weir.stop()
    # A kill may have cut a line in the middle; what stands whole must be every line.
    found = {int(text[-19:-10]) for text in taken(sink).splitlines(keepends=True) if is_line(text[-19:])}
    assert found == set(range(count))
    append(path, lines(count, count + 100))
    before = len(taken(sink))
    weir = lab.start(["-c", config], name="again")
    until(lambda: taken(sink).endswith(line(count + 99)), "the new lines")
    weir.stop()
    assert taken(sink)[before:] == lines(count, count + 100)


def is_line(text):
    return text[:9].isdigit() and text == line(int(text[:9]))


def test_rejected_records_are_kept_and_not_sent_again(lab):
    good, bad, sink, dead = lab.path("good"), lab.path("bad"), lab.path("sink"), lab.path("dead")
    good.write_bytes(lines(0, 10))
    bad.write_bytes(lines(10, 20))
    outputs = [{"name": "reject", "match": "*", "path": sink, "reject": "bad", "dead_letter_file": dead}]
    config = lab.config([tail(good, "good", exit_on_eof=True), tail(bad, "bad", exit_on_eof=True)], outputs,
                        plugins=["out_reject"])
    weir = lab.start(["-c", config], name="first")
    weir.wait(0)
    assert taken(sink) == lines(0, 10)
    for number in range(10, 20):
        assert line(number).rstrip(b"\n") in dead.read_bytes()
    assert "reject" in weir.log_text()
    size = dead.stat().st_size
    weir = lab.start(["-c", config], name="second")
    weir.wait(0)
    assert (taken(sink), dead.stat().st_size) == (lines(0, 10), size)


def test_third_party_input_gets_at_least_once(lab):
    """An input without files, killed again and again: every number arrives at each of two outputs."""
    count = scaled(20000, 4000)
    sink = lab.path("sink")
    config = lab.config([{"name": "counter", "tag": "n", "count": count, "batch": 10}],
                        [stdout("*"), {"name": "slow", "match": "n", "path": sink, "delay": "1ms"}],
                        {"checkpoint_interval": "20ms", **QUICK}, plugins=["in_counter", "out_slow"])
    outs = []
    for turn in range(4):
        weir = lab.start(["-c", config], name="kill%d" % turn)
        outs.append(weir)
        size = len(taken(sink))
        until(lambda: len(taken(sink)) > size, "something new")
        weir.kill()
    weir = lab.start(["-c", config], name="last")
    outs.append(weir)
    weir.wait(0, 120)  # thousands of chunks, each with a pause
    every = {b"%d" % number for number in range(count)}
    assert set().union(*(whole_lines(weir.output()).split() for weir in outs)) >= every
    assert set(taken(sink).split()) >= every


def entry(name, path, *settings):
    return "\t".join((name, "tail", "path=%s" % path, "read_from_head=on", *settings)) + "\n"


def test_a_source_adds_and_removes_inputs(lab):
    """Inputs come and go while it runs; one that comes back goes on where it stopped; a bad one is refused alone."""
    wanted, a, b = lab.path("wanted"), lab.path("a"), lab.path("b")

    def want(text):
        lab.path("new").write_text(text)
        lab.path("new").rename(wanted)
    a.write_bytes(lines(0, 10))
    b.write_bytes(lines(100, 110))
    want(entry("A", a, "tag=t"))
    config = lab.config([{"name": "set", "path": wanted, "interval": "10ms"}], [stdout("*")], plugins=["in_set"])
    weir = lab.start(["-c", config])
    weir.wait_line(9)
    want(entry("A", a, "tag=t") + entry("B", b, "tag=u"))
    weir.wait_line(109)
    # A goes; what is written to its file meanwhile waits.
    want(entry("B", b, "tag=u"))
    until(lambda: not weir.has_open(a), "A is closed")
    append(a, lines(10, 20))
    append(b, line(110))
    weir.wait_line(110)
    # A comes back beside one that is refused.
    want(entry("A", a, "tag=t") + entry("B", b, "tag=u") + entry("C", b, "tag=v", "pth=x"))
    weir.wait_line(19)
    weir.wait_log("pth")
    append(b, line(111))
    weir.wait_line(111)
    want("")
    until(lambda: not weir.has_open(a) and not weir.has_open(b), "both are closed")
    weir.stop()
    assert sorted(numbers(weir.output())) == list(range(20)) + list(range(100, 112))


def test_an_output_that_can_not_start_is_status_2(lab):
    path = lab.path("in.log")
    path.write_bytes(line(0))
    config = lab.config([tail(path, "a")],
                        [{"name": "flaky", "match": "*", "path": lab.path("no") / "such" / "folder"}],
                        plugins=["out_flaky"])
    weir = lab.start(["-c", config])
    weir.wait(2)
    assert "No such file or directory" in weir.log_text()
