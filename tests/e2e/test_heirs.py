# SPDX-License-Identifier: Apache-2.0
"""An input whose path was edited, or that got an alias, goes on where it was: nothing is lost, and nothing comes twice."""
import re
import sqlite3

import pytest

import harness
from harness import Writer, append, lines, numbers, until, whole_lines
from reload import Reloaded, stdout, tail

RATE = 10000 if not harness.SANITIZER else 2000
ANEW = "has no positions and begins anew"


def at_end(path, **options):
    """Whoever begins anew begins at the end: what was written before is lost then."""
    return tail(path, read_from_head=False, refresh_interval="100ms", **options)


def start(lab, inputs, name):
    return lab.start(["-c", lab.config(inputs, [stdout()], name=name + ".yaml")], name=name)


def wait_for(weir, first, end):
    weir.wait_output(lambda data: data.count(b"\n") >= end - first)
    weir.stop()
    assert sorted(numbers(whole_lines(weir.output()))) == list(range(first, end))


def first_run(lab, path, **options):
    """Of a.log, from its head, to line 99; 100 to 199 come while weir is down."""
    append(path, lines(0, 100))
    weir = lab.tail(path, name="first", **options)
    weir.wait_line(99)
    weir.stop()
    append(path, lines(100, 200))


@pytest.mark.parametrize("change", [
    lambda lab: at_end("%s, %s" % (lab.path("a.log"), lab.path("b.log"))),
    lambda lab: at_end([lab.path("a.log"), lab.path("b.log")], alias="both", tag="other"),
    lambda lab: at_end(lab.path("*.log")),
    lambda lab: at_end(lab.path("a.log"), alias="a"),
], ids=["one_more", "one_more_and_alias", "glob", "alias"])
def test_at_a_start(lab, change):
    first_run(lab, lab.path("a.log"))
    weir = start(lab, [change(lab)], "second")
    weir.wait_log("goes on from the positions that were kept under 'tail:%s' (1)" % lab.path("a.log"))
    wait_for(weir, 100, 200)
    append(lab.path("a.log"), lines(200, 210))
    weir = start(lab, [change(lab)], "third")
    wait_for(weir, 200, 210)
    assert "kept under" not in weir.log_text()


def test_blanks_between_paths_make_no_other_input(lab):
    append(lab.path("a.log"), lines(0, 100))
    weir = start(lab, [tail("%s, %s" % (lab.path("a.log"), lab.path("b.log")))], "first")
    wait_for(weir, 0, 100)
    append(lab.path("a.log"), lines(100, 200))
    weir = start(lab, [at_end([lab.path("a.log"), lab.path("b.log")])], "second")
    wait_for(weir, 100, 200)
    assert "kept under" not in weir.log_text()


def test_not_where_two_might(lab):
    """Which of them goes on only the operator knows, and is told what there is."""
    first_run(lab, lab.path("a.log"))
    weir = start(lab, [at_end(lab.path("a.log"), alias=alias, tag=alias) for alias in ("x", "y")], "second")
    until(lambda: weir.log_text().count("is followed from its end") == 2, "both begin anew")
    weir.stop()
    said = "%s, and those kept under 'tail:%s' are no input's any more" % (ANEW, lab.path("a.log"))
    assert weir.output() == b"" and weir.log_text().count(said) == 2


def test_others_are_left_alone(lab):
    """One that follows something else begins anew, and says that there are positions that nobody has."""
    first_run(lab, lab.path("a.log"))
    append(lab.path("b.log"), lines(500, 600))
    weir = start(lab, [at_end(lab.path("b.log"))], "second")
    weir.wait_log(ANEW)
    weir.wait_log("is followed from its end")
    weir.stop()
    assert weir.output() == b""
    weir = start(lab, [at_end(lab.path("a.log"))], "third")  # as it was: it has its positions still
    wait_for(weir, 100, 200)


def test_not_from_one_that_runs(lab):
    """Of two inputs on one path the second is given an alias: the first one's positions stay its own."""
    first_run(lab, lab.path("a.log"))
    weir = start(lab, [at_end(lab.path("a.log")), at_end(lab.path("a.log"), alias="more", tag="more")], "second")
    wait_for(weir, 100, 200)
    assert "kept under" not in weir.log_text()


@pytest.mark.parametrize("first,second", [
    ({}, {"alias": "a"}),
    ({"alias": "a"}, {"alias": "b"}),
    ({"alias": "a"}, {}),
    ({}, {"glob": True}),
], ids=["alias", "another_alias", "no_alias", "glob"])
def test_in_a_reload(lab, first, second):
    """While lines come in: the new one starts where the old one ended."""
    path = lab.path("a.log")
    path.write_bytes(b"")

    def configured(glob=False, **options):
        return at_end(lab.path("*.log") if glob else path, **options)

    weir = Reloaded(lab, [configured(**first)], [stdout()])
    writer = Writer(path, RATE)
    weir.weir.wait_output(lambda data: len(data) > 10000)
    said = weir.change([configured(**second)], [stdout()])
    name = first.get("alias", "tail:%s" % path)
    assert "goes on from the positions that were kept under '%s' (1)" % name in said
    count = writer.stop()
    wait_for(weir.weir, 0, count)


def test_two_into_one_in_a_reload(lab):
    one, two = lab.path("one.log"), lab.path("two.log")
    append(one, lines(0, 100))
    append(two, lines(100, 200))
    weir = Reloaded(lab, [tail(one), tail(two)], [stdout()])
    weir.weir.wait_output(lambda data: data.count(b"\n") == 200)
    said = weir.change([tail([one, two], alias="both")], [stdout()])
    assert said.count("input both goes on from the positions that were kept under") == 2
    append(one, lines(200, 210))
    wait_for(weir.weir, 0, 210)


def test_unrelated_in_a_reload_is_said(lab):
    weir = Reloaded(lab, [tail(lab.path("a.log"))], [stdout()])
    append(lab.path("a.log"), lines(0, 10))
    weir.weir.wait_line(9)
    said = weir.change([tail(lab.path("b.log"))], [stdout()])
    assert "warning: input tail.0 %s, and those kept under 'tail:%s' are no input's any more" % (ANEW, lab.path("a.log")) in said
    weir.weir.stop()


def source(lab, **options):
    return {"name": "set", "path": lab.path("wanted"), "interval": "10ms", "tag": "set", **options}


def test_inputs_of_a_source_at_a_start(lab):
    """They are known by their source's name and their own: the source gets an alias."""
    path = lab.path("a.log")
    lab.path("wanted").write_text("a\ttail\tpath=%s\tread_from_head=on\n" % path)
    append(path, lines(0, 100))
    weir = lab.start(["-c", lab.config([source(lab)], [stdout()], plugins=["in_set"])], name="first")
    weir.wait_line(99)
    weir.stop()
    append(path, lines(100, 200))
    weir = lab.start(["-c", lab.config([source(lab, alias="src")], [stdout()], plugins=["in_set"])], name="second")
    weir.wait_log("goes on from the positions that were kept under 'set:%s/a' (1)" % lab.path("wanted"))
    wait_for(weir, 100, 200)


def test_inputs_of_a_source_in_a_reload(lab):
    path = lab.path("a.log")
    path.write_bytes(b"")
    lab.path("wanted").write_text("a\ttail\tpath=%s\n" % path)
    weir = Reloaded(lab, [source(lab, alias="src")], [stdout()], plugins=["in_set"])
    weir.weir.wait_log("is followed from its end")
    writer = Writer(path, RATE)
    weir.weir.wait_output(lambda data: len(data) > 10000)
    weir.change([source(lab, alias="other")], [stdout()])
    weir.weir.wait_log("goes on from the positions that were kept under 'src/a' (1)")
    count = writer.stop()
    wait_for(weir.weir, 0, count)


def test_inputs_that_are_gone_are_counted_and_can_be_dropped(lab):
    """By what docs/operations.md says; and nobody else's positions are."""
    text = (harness.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    which, drop = re.findall(r"```sql\n(.*?)\n```", text[text.index("## Inputs that are gone"):], re.S)
    stays, goes = tail(lab.path("a.log"), alias="stays"), tail(lab.path("b.log"))
    append(lab.path("a.log"), lines(0, 100))
    append(lab.path("b.log"), lines(100, 200))
    r = Reloaded(lab, [stays, goes], [stdout()])
    r.weir.wait_output(lambda data: data.count(b"\n") == 200)
    assert r.status()["former_inputs"] == 0
    r.change([stays], [stdout()])
    assert r.status()["former_inputs"] == 1
    assert b"\nweir_checkpoint_former_inputs 1\n" in r.ask("/metrics")[1]
    status, out, _ = harness.run(["status", "-c", lab.path("weir.yaml")], lab.folder)
    assert status == 0 and b"positions are kept of 1 inputs that there are no more\n" in out
    r.weir.stop()
    store = sqlite3.connect(lab.path("data") / "checkpoint.db")
    former = "tail:%s" % lab.path("b.log")
    assert {row[:2] for row in store.execute(which)} == {("stays", 1), (former, 1)}
    assert "'tail:/var/log/app/*.log'" in drop
    with store:
        store.execute(drop.replace("'tail:/var/log/app/*.log'", "'%s'" % former))
    store.close()
    append(lab.path("a.log"), lines(200, 300))
    weir = start(lab, [stays], "second")
    wait_for(weir, 200, 300)
    assert [name for name, _ in harness.kept_offsets(lab.path("data"))] == ["stays"]
